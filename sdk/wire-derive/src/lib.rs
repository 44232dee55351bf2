//! `#[derive(Wire)]`: a struct and its attributes become a message of the Kafka protocol.
//! It turns the schema into calls; how a value looks in bytes is `highwater_wire::primitive`'s business.
//!
//! On a struct, if it is a message and not a part of one:
//!
//! | attribute | meaning |
//! |---|---|
//! | `versions = 0..=13` | the versions that exist |
//! | `flexible = 9..` | the flexible ones (KIP-482); absent: none |
//! | `api = Metadata` | it is a response of this API, or |
//! | `api = Metadata, response = MetadataResponse<'r>` | a request of it, which is answered so |
//!
//! On a field:
//!
//! | attribute | meaning |
//! |---|---|
//! | `versions = 4..` | the versions of the message that have the field (`4..`, `4..=7`, `4`); absent: all |
//! | `nullable = 1..` | the versions in which an `Option` may be null; absent: all that have the field |
//! | `tag = 0` | a tagged field, and its tag |
//! | `tagged = 12..` | the versions in which it is tagged; absent: all that have the field |
//! | `default = -1` | what it is where a version has no such field; absent: `Default::default()` |
//! | `ignorable` | a version without the field drops it in silence; absent: that is an error unless it is the default |
//! | `inflexible` | written in the old encoding even in flexible versions |
//!
//! The struct also gets `Default`, from the same defaults.
#![forbid(unsafe_code)]

mod expand;
mod schema;

use proc_macro::TokenStream;

/// Makes the struct a value of the protocol, and a message if `#[wire(..)]` on the struct says so.
#[proc_macro_derive(Wire, attributes(wire))]
pub fn wire(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    match schema::Schema::parse(&input) {
        Ok(schema) => expand::expand(&schema).into(),
        Err(error) => error.to_compile_error().into(),
    }
}
