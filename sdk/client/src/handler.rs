//! Handlers: what an application does with the records of its group.

pub(crate) mod letter;
