//! What handlers decide without doing it: which worker a record goes to, and what becomes of one that failed.

pub(crate) mod course;
pub(crate) mod dispatch;
