//! What each attribute of the schema does, on a message that no API has.

use highwater_wire::message::*;
use highwater_wire::{Array, Cursor, Decode, DecodeError, EncodeError, Encoder, Message, Wire};

#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 1..=4, flexible = 3..)]
struct Sample<'a> {
    /// In every version, nullable as of the second.
    #[wire(nullable = 2..)]
    name: Option<&'a str>,
    /// Must not be lost.
    #[wire(versions = 2..)]
    count: i32,
    /// May be lost.
    #[wire(versions = 2.., default = -1, ignorable)]
    hint: i16,
    /// Was there and went.
    #[wire(versions = 1..=2)]
    old: bool,
    /// A struct, or null.
    part: Option<Part>,
    /// Regular first, tagged later.
    #[wire(tag = 1, versions = 3.., tagged = 4.., default = 7)]
    moved: i32,
    /// Tagged as soon as there are tags.
    #[wire(tag = 0, versions = 3..)]
    list: Array<'a, i8>,
    /// Old lengths for ever.
    #[wire(inflexible)]
    stiff: &'a str,
}

#[derive(Debug, Clone, PartialEq, Wire)]
struct Part {
    x: i8,
}

fn sample() -> Sample<'static> {
    Sample {
        name: Some("n"),
        stiff: "s",
        ..Sample::default()
    }
}

fn bytes(sample: &Sample<'_>, version: i16) -> Result<Vec<u8>, EncodeError> {
    let mut encoder = Encoder::default();
    sample.encode(version, &mut encoder)?;
    let bytes = encoder.finish().bytes;
    assert_eq!(sample.encoded_len(version), Ok(bytes.len()));
    Ok(bytes)
}

fn read(version: i16, bytes: &[u8]) -> Result<Sample<'_>, DecodeError> {
    Sample::decode(version, &mut Cursor::new(bytes))
}

#[test]
fn each_version_has_its_own_bytes() {
    let sample = Sample {
        part: Some(Part { x: 5 }),
        ..sample()
    };
    assert_eq!(bytes(&sample, 1).unwrap(), b"\0\x01n\0\x01\x05\0\x01s");
    assert_eq!(
        bytes(&sample, 2).unwrap(),
        b"\0\x01n\0\0\0\0\xff\xff\0\x01\x05\0\x01s"
    );
    assert_eq!(
        bytes(&sample, 3).unwrap(),
        b"\x02n\0\0\0\0\xff\xff\x01\x05\0\0\0\0\x07\0\x01s\0"
    );
    assert_eq!(
        bytes(&sample, 4).unwrap(),
        b"\x02n\0\0\0\0\xff\xff\x01\x05\0\0\x01s\0"
    );
    for version in 1..=4 {
        assert_eq!(
            read(version, &bytes(&sample, version).unwrap()),
            Ok(sample.clone())
        );
    }
}

#[test]
fn tagged_fields_are_written_in_order_of_their_tags_and_only_when_they_say_something() {
    let sample = Sample {
        moved: 8,
        list: Array::from([1, 2]),
        ..sample()
    };
    let expected = b"\x02n\0\0\0\0\xff\xff\xff\0\x01s\x02\x00\x03\x03\x01\x02\x01\x04\0\0\0\x08";
    assert_eq!(bytes(&sample, 4).unwrap(), expected);
    assert_eq!(read(4, expected), Ok(sample));
}

#[test]
fn a_field_that_its_version_cannot_say_is_an_error_unless_it_is_its_default() {
    let refused = |field, version| Err(EncodeError::FieldNotInVersion { field, version });
    assert_eq!(
        bytes(
            &Sample {
                count: 1,
                ..sample()
            },
            1
        ),
        refused("Sample.count", 1)
    );
    assert_eq!(
        bytes(
            &Sample {
                old: true,
                ..sample()
            },
            3
        ),
        refused("Sample.old", 3)
    );
    assert_eq!(
        bytes(
            &Sample {
                moved: 8,
                ..sample()
            },
            2
        ),
        refused("Sample.moved", 2)
    );
    assert_eq!(
        bytes(
            &Sample {
                list: Array::from([1]),
                ..sample()
            },
            2
        ),
        refused("Sample.list", 2)
    );
    assert_eq!(
        bytes(
            &Sample {
                moved: 7,
                ..sample()
            },
            2
        ),
        bytes(&sample(), 2)
    );
}

#[test]
fn a_field_that_may_be_lost_is_lost_in_silence_and_read_as_its_default() {
    let written = bytes(
        &Sample {
            hint: 3,
            ..sample()
        },
        1,
    )
    .unwrap();
    assert_eq!(read(1, &written).unwrap().hint, -1);
}

#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=0, flexible = 0..)]
struct Nulls {
    /// Regular.
    part: Option<Part>,
    /// Tagged, null unless said.
    #[wire(tag = 0)]
    absent: Option<Part>,
    /// Tagged, there unless said.
    #[wire(tag = 1, default = Some(Part { x: 3 }))]
    present: Option<Part>,
}

#[test]
fn the_null_of_a_struct_is_another_byte_in_a_tagged_field() {
    let part = |x| Some(Part { x });
    for (part, absent, present, expected) in [
        (None, None, part(3), &b"\xff\0"[..]),
        (
            part(1),
            part(2),
            None,
            b"\x01\x01\0\x02\0\x03\x01\x02\0\x01\x01\0",
        ),
        (None, None, part(0), b"\xff\x01\x01\x03\x01\0\0"),
    ] {
        let nulls = Nulls {
            part,
            absent,
            present,
        };
        let mut encoder = Encoder::default();
        nulls.encode(0, &mut encoder).unwrap();
        assert_eq!(encoder.finish().bytes, expected);
        assert_eq!(nulls.encoded_len(0), Ok(expected.len()));
        assert_eq!(Nulls::decode(0, &mut Cursor::new(expected)), Ok(nulls));
    }
}

#[test]
fn null_is_an_error_in_versions_without_it_both_ways() {
    let sample = Sample {
        name: None,
        ..sample()
    };
    assert_eq!(
        bytes(&sample, 1),
        Err(EncodeError::Null {
            field: "Sample.name",
            version: 1
        })
    );
    let written = bytes(&sample, 2).unwrap();
    assert_eq!(read(2, &written), Ok(sample));
    assert_eq!(read(1, b"\xff\xff\xff\0\x01s"), Err(DecodeError::Null));
}

#[test]
fn a_version_that_does_not_exist_is_refused_both_ways() {
    for version in [i16::MIN, 0, 5, i16::MAX] {
        assert_eq!(
            bytes(&sample(), version),
            Err(EncodeError::UnsupportedVersion {
                message: "Sample",
                version
            })
        );
        assert_eq!(
            read(version, b""),
            Err(DecodeError::UnsupportedVersion {
                message: "Sample",
                version
            })
        );
    }
}

#[test]
fn kafka_refuses_to_lose_what_we_refuse_to_lose() {
    let by_id = DeleteTopicsRequest {
        topics: Array::from([delete_topics::DeleteTopicState::default()]),
        ..DeleteTopicsRequest::default()
    };
    let field = "DeleteTopicsRequest.topics";
    assert_eq!(
        by_id.encoded_len(5),
        Err(EncodeError::FieldNotInVersion { field, version: 5 })
    );
    let all = MetadataRequest {
        topics: None,
        ..MetadataRequest::default()
    };
    let field = "MetadataRequest.topics";
    assert_eq!(
        all.encoded_len(0),
        Err(EncodeError::Null { field, version: 0 })
    );
}
