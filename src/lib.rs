//! keyless
