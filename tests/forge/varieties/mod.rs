//! What is rarer than the bases: other keys and hashes, other encodings of the same thing, optional parts
//! that are there, and such as only look like them. Every other implementation is asked the same
//! (`tests/oracle`).

mod bodies;
mod certificates;
mod logs;
mod parties;
mod signatures;
mod statements;
mod tokens;
