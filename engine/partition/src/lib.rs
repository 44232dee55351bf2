//! One partition's truth on one shard: admission, idempotence, watermarks, fetch plans, waiters.
#![forbid(unsafe_code)]
