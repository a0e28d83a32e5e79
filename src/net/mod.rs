//! Floor 4: everything that talks to a host over the network.
//!
//! One HTTP layer ([`http`]) serves all clients, so that bounds, time limits, retries and redaction
//! are decided once. The clients know the wire, never the verdict: what a reply *means* is judged on
//! lower floors. Read [`http`] first.

pub mod error;
pub mod fulcio;
pub mod http;
pub mod oidc;
pub mod registry;
pub mod rekor;
mod rekor_tiles;
pub mod tsa;

pub use error::NetError;
pub use http::{Backoff, HttpClient, Reply, Request, RetryPolicy};
pub use registry::{RegistryClient, RegistryError, RegistryOptions};
