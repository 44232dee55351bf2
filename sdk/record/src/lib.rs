//! Kafka record batches, byte by byte: header view, checked batch, builder, reader, codecs.
#![forbid(unsafe_code)]
