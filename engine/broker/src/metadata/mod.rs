//! Topics, configurations and ids: an immutable image fed by a durable metadata log.
