//! `keyless download`: signatures and attestations as they are stored, one JSON a line. Nothing is verified.

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

use crate::crypto::{Digest, pem};
use crate::diagnostic::{Diagnostic, Exit};
use crate::flow::image_tree::PlatformFilter;
use crate::flow::survey::{Attached, AttachedKind, Extent, NotOne, Origin, Survey, choose, survey};
use crate::format::bundle::{Bundle, Content};
use crate::format::legacy::StoredEnvelope;
use crate::format::legacy::layer::{
    ANNOTATION_BUNDLE, ANNOTATION_CERTIFICATE, ANNOTATION_CHAIN, ANNOTATION_SIGNATURE,
    ANNOTATION_TIMESTAMP, ENVELOPE_TYPE,
};
use crate::format::legacy::simple_signing::{SIMPLE_SIGNING_LEN, SIMPLE_SIGNING_TYPE};
use crate::format::limits::CHAIN_CERTIFICATES;
use crate::format::oci::{Descriptor, Document};
use crate::format::predicate::WantedType;
use crate::format::protojson::encode_base64;
use crate::format::statement::{COSIGN_SIGN_V1, Statement};
use crate::net::registry::{
    ContentError, DigestReference, ImageReference, RegistryClient, RegistryError,
};

/// Objects fetched at a time.
const CONCURRENCY: usize = 8;
/// Bytes of everything that one call shows, unless one bundle may have more.
const MAX_BYTES: u64 = 256 * 1024 * 1024;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Signatures of the image.
    Signatures,
    /// Attestations about it.
    Attestations,
    /// Bundles, whatever they are.
    Bundles,
}

/// The form of what was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A Sigstore bundle.
    Bundle,
    /// A legacy signature with its parts, as `cosign download signature` writes it.
    LegacySignature,
    /// A DSSE envelope, as legacy attestations are stored.
    Envelope,
}

/// One signature or attestation.
#[derive(Debug)]
pub struct Downloaded {
    /// Digest of the manifest that attaches it.
    pub manifest: Digest,
    /// Digest of the stored bytes.
    pub digest: Digest,
    /// Its form.
    pub form: Form,
    /// Predicate type of its statement, if it has one.
    pub predicate_type: Option<String>,
    /// One line of JSON: the stored bytes, where they are one line.
    pub line: String,
}

/// What was found.
#[derive(Debug)]
pub struct Download {
    /// The image; of an index and a platform, the one that was chosen.
    pub image: DigestReference,
    /// What was asked for and is there.
    pub found: Vec<Downloaded>,
    /// What could not be read.
    pub failed: Vec<(Digest, DownloadError)>,
    /// The survey, for its problems.
    pub survey: Survey,
}

/// Why something was not downloaded.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// It cannot be had.
    #[error("{0}")]
    Content(#[from] ContentError),
    /// No image is for the platform.
    #[error("{0}")]
    Platform(#[from] NotOne),
    /// It is not what it says it is.
    #[error("unreadable {what}: {cause}")]
    Unreadable {
        /// What it should be.
        what: &'static str,
        /// Why it is not.
        cause: String,
    },
    /// There is nothing.
    #[error("nothing of that kind is attached to {image}")]
    Nothing {
        /// The image.
        image: String,
    },
}

impl From<RegistryError> for DownloadError {
    fn from(error: RegistryError) -> Self {
        DownloadError::Content(error.into())
    }
}

impl Diagnostic for DownloadError {
    fn code(&self) -> &'static str {
        match self {
            DownloadError::Content(error) => error.code(),
            DownloadError::Platform(error) => error.code(),
            DownloadError::Unreadable { .. } => "attached-unreadable",
            DownloadError::Nothing { .. } => "nothing-attached",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            DownloadError::Content(error) => error.exit(),
            DownloadError::Platform(error) => error.exit(),
            DownloadError::Unreadable { .. } => Exit::Malformed,
            DownloadError::Nothing { .. } => Exit::NoSignature,
        }
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        match self {
            DownloadError::Content(error) => error.details(),
            DownloadError::Platform(error) => error.details(),
            _ => Vec::new(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            DownloadError::Content(error) => error.hint(),
            DownloadError::Platform(error) => error.hint(),
            DownloadError::Unreadable { .. } => None,
            DownloadError::Nothing { .. } => {
                Some("`keyless tree` shows everything that is attached".to_owned())
            }
        }
    }
}

/// What is downloaded, and from where.
#[derive(Debug)]
pub struct DownloadRequest {
    /// The image.
    pub image: ImageReference,
    /// What of it.
    pub wanted: Wanted,
    /// The image of an index for this platform.
    pub platform: Option<PlatformFilter>,
    /// Only attestations of this predicate type.
    pub predicate_type: Option<WantedType>,
}

/// Fetches what is asked for. What something is, is told by its own content.
///
/// # Errors
/// [`DownloadError`]; what concerns one of several is in [`Download::failed`].
pub async fn download(
    registry: &RegistryClient,
    request: &DownloadRequest,
) -> Result<Download, DownloadError> {
    let (origin, mut held) = Origin::resolve(registry, &request.image).await?;
    if let Some(platform) = &request.platform {
        let child = choose(platform, &held.document)?.clone();
        held = origin.manifest(&child).await?;
    }
    let extent = Extent {
        children: false,
        everything: false,
    };
    let image = DigestReference::new(request.image.repository().clone(), held.descriptor.digest);
    let survey = survey(origin, held, extent).await?;
    let beside = survey.origin.of_attached();
    let limit = registry.options().limits.bundle;
    let (mut found, mut failed) = (Vec::new(), Vec::new());
    let mut items = items(&survey.root.attached, request.wanted);
    // What is too large by itself is refused by itself, and leaves room for the others.
    let mut room = MAX_BYTES.max(limit);
    items.retain(|(_, layer, _)| {
        let fits = layer.size > limit || layer.size <= room;
        match fits {
            true if layer.size <= limit => room -= layer.size,
            true => {}
            false => {
                let error = RegistryError::TooMany {
                    what: "bytes of signatures and attestations",
                    limit: MAX_BYTES as usize,
                };
                failed.push((layer.digest, error.into()));
            }
        }
        fits
    });
    let beside = &beside;
    let outcomes: Vec<_> = stream::iter(items)
        .map(|(manifest, layer, form)| async move {
            let one = one(beside, manifest, &layer, form, limit).await;
            one.map_err(|error| (layer.digest, error))
        })
        .buffered(CONCURRENCY)
        .collect()
        .await;
    for outcome in outcomes {
        match outcome {
            Ok(one) if is_wanted(&one, request) => found.push(one),
            Ok(_) => {}
            Err(error) => failed.push(error),
        }
    }
    if found.is_empty() && failed.is_empty() {
        return Err(DownloadError::Nothing {
            image: image.to_string(),
        });
    }
    Ok(Download {
        image,
        found,
        failed,
        survey,
    })
}

/// Lists the layers to fetch: bundles, and what is stored in the older formats.
fn items(attached: &[Attached], wanted: Wanted) -> Vec<(Digest, Descriptor, Form)> {
    let mut items = Vec::new();
    for one in attached {
        let held = &one.node.held;
        let Document::Manifest(manifest) = &held.document else {
            continue;
        };
        let form = match (one.kind, wanted) {
            (AttachedKind::Bundle, _) => Form::Bundle,
            (AttachedKind::LegacySignatures, Wanted::Signatures) => Form::LegacySignature,
            (AttachedKind::LegacyAttestations, Wanted::Attestations) => Form::Envelope,
            _ => continue,
        };
        let fits = |layer: &&Descriptor| match form {
            Form::Bundle => true,
            Form::LegacySignature => layer.media_type == SIMPLE_SIGNING_TYPE,
            Form::Envelope => layer.media_type == ENVELOPE_TYPE,
        };
        let layers = manifest.layers.iter().filter(fits);
        items.extend(layers.map(|layer| (held.descriptor.digest, layer.clone(), form)));
    }
    items
}

fn is_wanted(one: &Downloaded, request: &DownloadRequest) -> bool {
    let says = one.predicate_type.as_deref();
    let kind = match (request.wanted, one.form) {
        (Wanted::Bundles, _) | (_, Form::LegacySignature | Form::Envelope) => true,
        (Wanted::Signatures, Form::Bundle) => matches!(says, None | Some(COSIGN_SIGN_V1)),
        (Wanted::Attestations, Form::Bundle) => !matches!(says, None | Some(COSIGN_SIGN_V1)),
    };
    let wanted = request.predicate_type.as_ref();
    kind && wanted.is_none_or(|wanted| says.is_some_and(|says| wanted.meets(says)))
}

async fn one(
    beside: &Origin,
    manifest: Digest,
    layer: &Descriptor,
    form: Form,
    limit: u64,
) -> Result<Downloaded, DownloadError> {
    let limit = match form {
        Form::LegacySignature => SIMPLE_SIGNING_LEN as u64,
        Form::Bundle | Form::Envelope => limit,
    };
    let bytes = beside.blob(layer, limit).await?;
    let unreadable = |what, cause: String| DownloadError::Unreadable { what, cause };
    let (line, predicate_type) = match form {
        Form::Bundle => {
            let bundle = Bundle::parse_bounded(&bytes, bytes.len())
                .map_err(|e| unreadable("bundle", e.to_string()))?;
            let predicate_type = match &bundle.content {
                Content::DsseEnvelope(envelope) => predicate_type(&envelope.payload),
                Content::MessageSignature { .. } | Content::SimpleSigning { .. } => None,
            };
            (one_line(&bytes), predicate_type)
        }
        Form::Envelope => {
            let envelope = StoredEnvelope::parse(&bytes)
                .map_err(|e| unreadable("DSSE envelope", e.to_string()))?;
            let predicate_type = predicate_type(&envelope.envelope().payload);
            (one_line(&bytes), predicate_type)
        }
        Form::LegacySignature => (signature_line(layer, &bytes)?, None),
    };
    Ok(Downloaded {
        manifest,
        digest: layer.digest,
        form,
        predicate_type,
        line,
    })
}

fn predicate_type(payload: &[u8]) -> Option<String> {
    let statement = Statement::parse(payload).ok()?;
    Some(statement.predicate_type)
}

/// Returns JSON in one line: as it is, if it is one.
fn one_line(json: &[u8]) -> String {
    let text = String::from_utf8_lossy(json.trim_ascii()).into_owned();
    if !text.contains(char::is_control) {
        return text;
    }
    match serde_json::from_str::<Value>(&text) {
        Ok(value) => value.to_string(),
        Err(_) => text.replace(char::is_control, " "),
    }
}

/// Puts the parts of a legacy signature into the JSON of `cosign download signature`. Of certificates only
/// `Raw` is there, their DER.
fn signature_line(layer: &Descriptor, payload: &[u8]) -> Result<String, DownloadError> {
    let said = |name: &str| layer.annotations.get(name).filter(|text| !text.is_empty());
    let unreadable = |what, cause: String| DownloadError::Unreadable { what, cause };
    let certificates = |name: &'static str| -> Result<Option<Vec<Value>>, DownloadError> {
        let Some(text) = said(name) else {
            return Ok(None);
        };
        let mut found = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let block = pem::decode(rest).filter(|_| found.len() < CHAIN_CERTIFICATES);
            let Some((_, der, after)) = block else {
                return Err(unreadable("certificate", "no PEM, or too much".to_owned()));
            };
            found.push(json!({ "Raw": encode_base64(&der) }));
            rest = after.trim();
        }
        Ok(Some(found))
    };
    let part = |name: &'static str| -> Result<Value, DownloadError> {
        match said(name) {
            None => Ok(Value::Null),
            Some(text) => serde_json::from_str(text)
                .map_err(|e| unreadable("part of a legacy signature", e.to_string())),
        }
    };
    let certificate = certificates(ANNOTATION_CERTIFICATE)?;
    Ok(json!({
        "Base64Signature": said(ANNOTATION_SIGNATURE),
        "Payload": encode_base64(payload),
        "Cert": certificate.and_then(|all| all.into_iter().next()),
        "Chain": certificates(ANNOTATION_CHAIN)?,
        "Bundle": part(ANNOTATION_BUNDLE)?,
        "RFC3161Timestamp": part(ANNOTATION_TIMESTAMP)?,
    })
    .to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_one_line_stays_as_it_is() {
        assert_eq!(
            one_line(b" {\"b\":1.50,  \"a\":2}\n"),
            "{\"b\":1.50,  \"a\":2}"
        );
        assert_eq!(
            one_line(b"{\n \"b\": 1,\r\n \"a\": 2\n}"),
            "{\"b\":1,\"a\":2}"
        );
    }

    #[test]
    fn a_legacy_signature_has_the_members_of_cosign() {
        let mut layer = Descriptor::of(SIMPLE_SIGNING_TYPE, b"payload");
        let with = |layer: &Descriptor| signature_line(layer, b"payload");
        let line = with(&layer).unwrap();
        assert_eq!(
            line,
            r#"{"Base64Signature":null,"Payload":"cGF5bG9hZA==","Cert":null,"Chain":null,"Bundle":null,"RFC3161Timestamp":null}"#
        );
        let set = |layer: &mut Descriptor, name: &str, value: &str| {
            layer.annotations.insert(name.to_owned(), value.to_owned());
        };
        set(&mut layer, ANNOTATION_SIGNATURE, "c2ln");
        set(
            &mut layer,
            ANNOTATION_BUNDLE,
            r#"{"Payload":{"logIndex":1}}"#,
        );
        let value: Value = serde_json::from_str(&with(&layer).unwrap()).unwrap();
        assert_eq!(value["Base64Signature"], "c2ln");
        assert_eq!(value["Bundle"]["Payload"]["logIndex"], 1);
        set(&mut layer, ANNOTATION_CERTIFICATE, "no PEM");
        assert_eq!(with(&layer).unwrap_err().code(), "attached-unreadable");
    }
}
