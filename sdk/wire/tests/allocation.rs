//! Decoding allocates nothing, whatever the bytes say: far below the promised bound of four times the bytes received
//! plus 64 KiB. Shown by an allocator that counts, over every API and version.
#![allow(elided_lifetimes_in_paths, clippy::unwrap_used)]
#![allow(unsafe_code)] // an allocator that counts is one

mod support;

use highwater_wire::DecodeError;
use highwater_wire::consumer_protocol::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use highwater_wire::records::MetadataRecord;
use highwater_wire::records::group::{GroupKey, GroupValue};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeMap;
use support::bytes::{Drawn, Entropy, Schemas};
use support::catalog::{Entry, Failure, catalog};
use support::golden::{GROUPS, Golden, RECORDS, golden, record};

thread_local! {
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
}

/// Counts every byte ever asked for on this thread; what is given back is not subtracted.
struct Counting;

// SAFETY: every call goes to the system's allocator as it came; the counter is a plain cell that needs no memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        count(bytes);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(place, layout, bytes) }
    }
}

fn count(bytes: usize) {
    ALLOCATED.with(|allocated| allocated.set(allocated.get() + bytes));
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Decodes and looks at everything; the outcome is not what matters.
fn allocated(entry: &Entry, version: i16, bytes: &[u8]) -> usize {
    let before = ALLOCATED.with(Cell::get);
    let outcome = (entry.walk)(version, bytes);
    let allocated = ALLOCATED.with(Cell::get) - before;
    assert!(
        !matches!(outcome, Err(Failure::Encode(_))),
        "{} {version}: what was read can be written, not {outcome:?}: {bytes:02x?}",
        entry.name
    );
    allocated
}

fn each_drawn(mut ask: impl FnMut(&Entry, i16, Drawn)) {
    let schemas = Schemas::read();
    for entry in catalog() {
        for version in entry.first..=entry.last {
            for seed in 0..3 {
                let entropy: Vec<u8> = (0..400u32)
                    .map(|at| (at * 37 + seed * 101).to_be_bytes()[3])
                    .collect();
                let drawn = schemas.draw(entry.name, version, &mut Entropy::new(&entropy));
                ask(&entry, version, drawn);
            }
        }
    }
}

#[test]
fn the_allocator_counts() {
    let before = ALLOCATED.with(Cell::get);
    drop(std::hint::black_box(Vec::<u8>::with_capacity(1000)));
    assert_eq!(ALLOCATED.with(Cell::get) - before, 1000);
}

#[test]
fn a_well_formed_message_is_decoded_without_allocating() {
    each_drawn(|entry, version, drawn| {
        assert_eq!(
            allocated(entry, version, &drawn.bytes),
            0,
            "{} {version}",
            entry.name
        );
        assert_eq!(
            (entry.walk)(version, &drawn.bytes),
            Ok(drawn.bytes.len()),
            "{} {version}",
            entry.name
        );
    });
}

#[test]
fn a_message_cut_at_any_byte_is_refused_without_allocating() {
    each_drawn(|entry, version, drawn| {
        for cut in 0..drawn.bytes.len() {
            let bytes = &drawn.bytes[..cut];
            assert_eq!(
                allocated(entry, version, bytes),
                0,
                "{} {version} cut at {cut}",
                entry.name
            );
            assert!(
                (entry.walk)(version, bytes).is_err(),
                "{} {version} cut at {cut}",
                entry.name
            );
        }
    });
}

#[test]
fn a_length_that_lies_costs_nothing() {
    let wide: [i32; 6] = [i32::MAX, i32::MIN, -2, -1, 1 << 20, 0x7f00_0000];
    let varints: [&[u8]; 6] = [
        b"\xff\xff\xff\xff\x0f",
        b"\xff\xff\xff\xff\x07",
        b"\x80\x80\x80\x80\x08",
        b"\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x00",
        b"\xff\x7f",
    ];
    each_drawn(|entry, version, drawn| {
        for (at, bytes) in &drawn.lengths {
            let lies: Vec<Vec<u8>> = match bytes {
                0 => varints.iter().map(|varint| varint.to_vec()).collect(),
                _ => wide
                    .iter()
                    .map(|length| length.to_be_bytes()[..*bytes].to_vec())
                    .collect(),
            };
            for lie in lies {
                let mut hostile = drawn.bytes.clone();
                hostile.splice(at..&(at + (*bytes).max(1)), lie);
                assert_eq!(
                    allocated(entry, version, &hostile),
                    0,
                    "{} {version}: {hostile:02x?}",
                    entry.name
                );
            }
        }
    });
}

#[test]
fn noise_costs_nothing() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for entry in catalog() {
        for version in entry.first..=entry.last {
            for fill in [0x00, 0x01, 0x7f, 0x80, 0xff] {
                assert_eq!(
                    allocated(&entry, version, &[fill; 3000]),
                    0,
                    "{} {version}",
                    entry.name
                );
            }
            for _ in 0..40 {
                let noise: Vec<u8> = (0..300)
                    .map(|_| {
                        state ^= state << 13;
                        state ^= state >> 7;
                        state ^= state << 17;
                        // Small numbers lead deeper into a message than large ones.
                        let [.., choice, byte] = state.to_be_bytes();
                        if choice & 3 == 0 { byte } else { byte & 3 }
                    })
                    .collect();
                assert_eq!(
                    allocated(&entry, version, &noise),
                    0,
                    "{} {version}: {noise:02x?}",
                    entry.name
                );
            }
        }
    }
}

#[test]
fn four_bytes_that_made_a_process_abort_are_refused() {
    let metadata = catalog()
        .into_iter()
        .find(|entry| entry.name == "MetadataRequest")
        .unwrap();
    assert_eq!(allocated(&metadata, 1, b"\x7f\xff\xff\xff"), 0);
    assert_eq!(
        (metadata.walk)(1, b"\x7f\xff\xff\xff"),
        Err(Failure::Decode(DecodeError::ArrayTooLong {
            count: 0x7fff_ffff,
            left: 0
        }))
    );
}

#[test]
fn a_record_of_the_metadata_log_is_decoded_without_allocating_whatever_became_of_it() {
    let ask = |value: &[u8]| {
        let before = ALLOCATED.with(Cell::get);
        let read = MetadataRecord::decode(value).is_ok();
        assert_eq!(ALLOCATED.with(Cell::get) - before, 0, "{value:02x?}");
        read
    };
    for golden in golden(RECORDS) {
        let (_, mut value) = record(&golden);
        assert!(ask(&value));
        for cut in 0..value.len() {
            assert!(!ask(&value[..cut]), "{} cut at {cut}", golden.name);
        }
        for at in 0..value.len() {
            for byte in [0, 0x7f, 0x80, 0xff] {
                let was = std::mem::replace(&mut value[at], byte);
                ask(&value);
                value[at] = was;
            }
        }
        value.push(0);
        assert!(!ask(&value), "{} with a byte behind it", golden.name);
    }
}

/// Reads what a golden line of groups holds; `key` is the key of its type.
fn readable(name: &str, key: Option<&GroupKey<'_>>, bytes: &[u8]) -> bool {
    match (name, key) {
        ("ConsumerProtocolSubscription", _) => {
            ConsumerProtocolSubscription::decode_prefixed(bytes).is_ok()
        }
        ("ConsumerProtocolAssignment", _) => {
            ConsumerProtocolAssignment::decode_prefixed(bytes).is_ok()
        }
        (_, Some(key)) => GroupValue::decode(key, bytes).is_ok(),
        (_, None) => GroupKey::decode(bytes).is_ok(),
    }
}

#[test]
fn what_groups_leave_behind_is_decoded_without_allocating_whatever_became_of_it() {
    let keys: BTreeMap<&str, Vec<u8>> = golden(GROUPS)
        .filter_map(|line| Some((line.name.strip_suffix("Key")?, line.bytes)))
        .collect();
    for Golden {
        name, mut bytes, ..
    } in golden(GROUPS)
    {
        let key = name
            .strip_suffix("Value")
            .map(|name| GroupKey::decode(&keys[name]).unwrap());
        let ask = |bytes: &[u8]| {
            let before = ALLOCATED.with(Cell::get);
            let read = readable(name, key.as_ref(), bytes);
            let allocated = ALLOCATED.with(Cell::get) - before;
            assert_eq!(allocated, 0, "{name} {bytes:02x?}");
            read
        };
        assert!(ask(&bytes), "{name}");
        for cut in 0..bytes.len() {
            // A subscription may end where an older version ends.
            let may_end = name == "ConsumerProtocolSubscription";
            assert!(!ask(&bytes[..cut]) || may_end, "{name} cut at {cut}");
        }
        for at in 0..bytes.len() {
            for byte in [0, 0x7f, 0x80, 0xff] {
                let was = std::mem::replace(&mut bytes[at], byte);
                ask(&bytes);
                bytes[at] = was;
            }
        }
        bytes.push(0);
        assert!(ask(&bytes), "{name} with a byte behind it");
    }
}
