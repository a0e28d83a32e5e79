//! The sandbox over HTTP: a small client of its own signs on it, and the library judges the outcome.
//!
//! What the real services answer was recorded in `fixtures/captures` or asked of them; here the sandbox must
//! answer the same.

mod client;
mod faults;
mod logs;
mod refusals;
mod restart;
mod services;
