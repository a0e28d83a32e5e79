//! The registry client against registries on loopback sockets: honest ones of every kind, and hostile
//! ones. A hostile registry is the sandbox's with one thing changed on the way.

mod attacks;
mod authentication;
mod fallback;
mod handlers;
mod oci;
mod strangers;
mod support;
