//! The process as a value: settings in, a running engine out. Programs, tests and the command line embed it; what an API
//! means is the broker's business.
#![forbid(unsafe_code)]

pub mod settings;

pub use settings::Settings;
