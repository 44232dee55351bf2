use super::*;
use proptest::prelude::*;

const OLD: Dialect = Dialect {
    version: 0,
    flexible: false,
};
const FLEXIBLE: Dialect = Dialect {
    version: 0,
    flexible: true,
};

fn written<T: Put>(value: &T, dialect: Dialect) -> Encoded {
    let mut length = Length::default();
    value.put(dialect, &mut length).unwrap();
    let mut encoder = Encoder::default();
    value.put(dialect, &mut encoder).unwrap();
    let encoded = encoder.finish();
    assert_eq!(length.bytes, encoded.wire_len());
    encoded
}

fn read<'a, T: Get<'a>>(bytes: &'a [u8], dialect: Dialect) -> Result<T, DecodeError> {
    let mut cursor = Cursor::new(bytes);
    let value = T::get(dialect, &mut cursor)?;
    assert_eq!(cursor.remaining(), 0);
    Ok(value)
}

proptest! {
    #[test]
    fn a_varint_is_as_long_as_was_counted_and_comes_back(value in any::<u32>(), shift in 0..32) {
        let value = value >> shift;
        let (mut encoder, mut length) = (Encoder::default(), Length::default());
        encoder.uvarint(value);
        length.uvarint(value);
        let bytes = encoder.finish().bytes;
        prop_assert_eq!(bytes.len(), length.bytes);
        prop_assert_eq!(Cursor::new(&bytes).uvarint(), Ok(value));
    }
}

#[test]
fn a_varint_has_no_more_than_32_bits() {
    for (bytes, value) in [
        (&b"\0"[..], Ok(0)),
        (b"\x7f", Ok(127)),
        (b"\x80\x01", Ok(128)),
        (b"\xff\xff\xff\xff\x0f", Ok(u32::MAX)),
        (b"\xff\xff\xff\xff\x1f", Err(DecodeError::Varint)),
        (b"\x80\x80\x80\x80\x80\0", Err(DecodeError::Varint)),
        (b"\x80", Err(DecodeError::Truncated { needed: 1, left: 0 })),
    ] {
        assert_eq!(Cursor::new(bytes).uvarint(), value, "{bytes:02x?}");
    }
}

#[test]
fn null_and_empty_are_not_the_same() {
    for dialect in [OLD, FLEXIBLE] {
        for value in [None, Some(""), Some("text")] {
            assert_eq!(read(&written(&value, dialect).bytes, dialect), Ok(value));
        }
        for value in [None, Some(&b""[..]), Some(b"bytes")] {
            assert_eq!(read(&written(&value, dialect).bytes, dialect), Ok(value));
        }
        let arrays: [Option<Array<'_, i32>>; 3] =
            [None, Some(Array::empty()), Some(Array::from([1, 2]))];
        for value in arrays {
            assert_eq!(read(&written(&value, dialect).bytes, dialect), Ok(value));
        }
    }
    assert_eq!(written(&None::<&str>, OLD).bytes, [0xff; 2]);
    assert_eq!(written(&None::<&[u8]>, OLD).bytes, [0xff; 4]);
    assert_eq!(written(&None::<&str>, FLEXIBLE).bytes, [0]);
}

#[test]
fn a_length_below_null_is_refused() {
    let negative = |length| Some(DecodeError::NegativeLength { length });
    assert_eq!(read::<Option<&str>>(b"\xff\xfe", OLD).err(), negative(-2));
    assert_eq!(
        read::<Option<&[u8]>>(b"\x80\0\0\0", OLD).err(),
        negative(i32::MIN)
    );
    assert_eq!(
        read::<Option<Array<'_, i8>>>(b"\xff\xff\xff\xfe", OLD).err(),
        negative(-2)
    );
}

#[test]
fn a_string_is_utf_8_and_no_longer_than_kafka_allows() {
    assert_eq!(read::<&str>(b"\0\x02\xc3\x28", OLD), Err(DecodeError::Utf8));
    let long = "x".repeat(32768);
    let mut bytes = b"\x81\x80\x02".to_vec();
    bytes.extend(long.as_bytes());
    assert_eq!(
        read::<&str>(&bytes, FLEXIBLE),
        Err(DecodeError::StringTooLong { length: 32768 })
    );
    let refused = EncodeError::TooLong {
        length: 32768,
        limit: 32767,
    };
    assert_eq!(
        long.as_str().put(FLEXIBLE, &mut Length::default()),
        Err(refused)
    );
    assert_eq!(
        &long[1..],
        read::<&str>(&written(&&long[1..], OLD).bytes, OLD).unwrap()
    );
}

#[test]
fn an_array_is_the_same_however_it_came_to_be() {
    let texts = ["a", "", "ä"];
    let built = [
        Array::from(&texts[..]),
        Array::from(texts.to_vec()),
        Array::from(texts),
        texts.into_iter().collect(),
    ];
    for array in &built {
        for dialect in [OLD, FLEXIBLE] {
            let bytes = written(array, dialect).bytes;
            let decoded: Array<'_, &str> = read(&bytes, dialect).unwrap();
            assert_eq!(&decoded, array);
            assert_eq!(decoded.to_vec(), texts);
            assert_eq!(decoded.iter().len(), 3);
            assert_eq!(format!("{decoded:?}"), r#"["a", "", "ä"]"#);
            // What was read in one dialect can be written in the other.
            assert_eq!(written(&decoded, FLEXIBLE), written(array, FLEXIBLE));
        }
    }
}

#[test]
fn elements_outlive_the_array_they_came_from() {
    let bytes = written(&Array::from(["held"]), OLD).bytes;
    let first = read::<Array<'_, &str>>(&bytes, OLD).unwrap().first();
    assert_eq!(first, Some("held"));
}

#[test]
fn an_array_of_numbers_is_not_walked_to_be_checked_but_must_be_there() {
    let bytes = b"\0\0\0\x02\0\0\0\x01\0\0\0";
    assert_eq!(
        read::<Array<'_, i32>>(bytes, OLD).map(|_| ()),
        Err(DecodeError::Truncated { needed: 8, left: 7 })
    );
}

#[test]
fn deferred_records_leave_their_place_open() {
    let mut encoder = Encoder::default();
    for records in [
        RecordBytes::Deferred { len: 300 },
        RecordBytes::Bytes(b"here"),
        RecordBytes::Deferred { len: 0 },
        RecordBytes::Deferred { len: 5 },
    ] {
        Some(records).put(FLEXIBLE, &mut encoder).unwrap();
    }
    let encoded = encoder.finish();
    assert_eq!(encoded.bytes, b"\xad\x02\x05here\x01\x06");
    let places: Vec<_> = encoded
        .splices
        .iter()
        .map(|splice| (splice.at, splice.len))
        .collect();
    assert_eq!(places, [(2, 300), (9, 5)]);
    assert_eq!(encoded.wire_len(), 9 + 300 + 5);
}
