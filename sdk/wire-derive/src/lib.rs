//! The derive macro behind highwater-wire's messages.
#![forbid(unsafe_code)]
