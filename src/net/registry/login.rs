//! Whether a registry accepts the credentials that a client was made with.

use super::auth::Access;
use super::client::RegistryClient;
use super::error::RegistryError;
use super::reference::Repository;
use crate::net::http::Method;

/// What a registry said to credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// It asked for some and accepted them.
    Accepted,
    /// It asked for none, so that nothing is known of them.
    NotAsked,
}

impl RegistryClient {
    /// Asks a registry for its root (distribution-spec, "Determining Support") and answers its challenge.
    ///
    /// # Errors
    /// [`RegistryError::Denied`] if they are refused; [`RegistryError::ForeignRealm`], [`RegistryError::Net`].
    pub async fn log_in(&self, registry: &Repository) -> Result<Login, RegistryError> {
        let origin = self.origin(registry).await?;
        let url = origin.join("/v2/").map_err(|e| RegistryError::Reference {
            found: registry.to_string(),
            cause: e.to_string(),
        })?;
        let request = self.request(Method::GET, url);
        let reply = self
            .send(registry, Access::Root, request)
            .await?
            .success()?;
        // Whatever says 200 to everything is no registry, and says nothing about credentials.
        let version = reply.header("docker-distribution-api-version");
        if version.is_none()
            && reply
                .json::<serde_json::Value>("a registry's root")
                .is_err()
            && !reply.body.is_empty()
        {
            return Err(reply.bad("a registry's root", "something else").into());
        }
        match self.is_authorized(&origin, registry) {
            true => Ok(Login::Accepted),
            false => Ok(Login::NotAsked),
        }
    }
}
