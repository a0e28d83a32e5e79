//! Lists: referrers and tags.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::super::{SandboxRegistry, lock};
use super::{OCI_FILTERS_APPLIED, parameter, refuse, set};
use crate::crypto::Digest;
use crate::format::oci::OCI_INDEX;

impl SandboxRegistry {
    pub(super) fn list_referrers(&self, name: &str, digest: &str, query: &str) -> Response {
        let Ok(digest) = digest.parse::<Digest>() else {
            return refuse(
                StatusCode::BAD_REQUEST,
                "DIGEST_INVALID",
                "malformed digest",
            );
        };
        let wanted = parameter(query, "artifactType");
        let filter = wanted.as_ref().filter(|_| self.mode.server_filter);
        let mut listed = {
            let mut store = lock(&self.store);
            let referrers = &store.repository(name).referrers;
            referrers.get(&digest).cloned().unwrap_or_default()
        };
        if let Some(lateness) = self.lateness() {
            let mut lists = lock(&self.lists);
            *lists = lists.saturating_add(1);
            if *lists <= lateness {
                listed.pop();
            }
        }
        listed.retain(|d| filter.is_none_or(|wanted| d.artifact_type.as_ref() == Some(wanted)));
        let start = parameter(query, "start")
            .and_then(|s| s.parse().ok())
            .unwrap_or(0);
        let size = self.mode.page_size.unwrap_or(usize::MAX).max(1);
        let total = listed.len();
        let page: Vec<_> = listed.into_iter().skip(start).take(size).collect();
        let end = start.saturating_add(page.len());
        let index = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": page,
        });
        let mut response = index.to_string().into_response();
        set(&mut response, header::CONTENT_TYPE, OCI_INDEX);
        if filter.is_some() {
            set(&mut response, OCI_FILTERS_APPLIED, "artifactType");
        }
        if end < total {
            let mut next = url::form_urlencoded::Serializer::new(String::new());
            if let Some(wanted) = &wanted {
                next.append_pair("artifactType", wanted);
            }
            let next = next.append_pair("start", &end.to_string()).finish();
            let link = format!("</v2/{name}/referrers/{digest}?{next}>; rel=\"next\"");
            set(&mut response, header::LINK, &link);
        }
        response
    }

    pub(super) fn list_tags(&self, name: &str, query: &str) -> Response {
        let mut store = lock(&self.store);
        let last = parameter(query, "last").unwrap_or_default();
        let count = parameter(query, "n")
            .and_then(|n| n.parse().ok())
            .unwrap_or(1000);
        let tags: Vec<String> = store
            .repository(name)
            .tags
            .keys()
            .filter(|tag| last.is_empty() || **tag > last)
            .take(count)
            .cloned()
            .collect();
        axum::Json(serde_json::json!({ "name": name, "tags": tags })).into_response()
    }
}
