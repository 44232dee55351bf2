//! The broker process as a value: settings in, a running engine out.
#![forbid(unsafe_code)]
