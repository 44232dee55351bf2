//! The formats, held against what Java's serializers wrote.

use std::fmt::Debug;

use bytes::Bytes;
use highwater_record::Headers;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn origin() -> Origin<'static> {
    Origin::new("t", Headers::default())
}

fn written<T: ?Sized>(format: impl Serializer<T>, value: &T) -> Option<Vec<u8>> {
    if format.is_null(value) {
        return None;
    }
    let mut bytes = Vec::new();
    format.serialize("t", value, &mut bytes).unwrap();
    Some(bytes)
}

fn goes_as<T: PartialEq + Debug>(
    format: impl Serializer<T> + Deserializer<T> + Copy,
    value: T,
    bytes: &[u8],
) {
    assert_eq!(written(format, &value).as_deref(), Some(bytes));
    assert_eq!(format.deserialize(&origin(), bytes).unwrap(), value);
    assert!(format.deserialize_null(&origin()).is_err(), "{value:?}");
}

#[test]
fn numbers_go_as_java_s_serializers_write_them() {
    goes_as(BigEndian, -2i16, &[0xff, 0xfe]);
    goes_as(BigEndian, 123_456_789i32, &[0x07, 0x5b, 0xcd, 0x15]);
    let long = [0xff, 0xff, 0x8f, 0xb7, 0x79, 0xf2, 0x20, 0x87];
    goes_as(BigEndian, -123_456_789_012_345i64, &long);
    goes_as(BigEndian, 1.5f32, &[0x3f, 0xc0, 0, 0]);
    let double = [0xbf, 0xb9, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9a];
    goes_as(BigEndian, -0.1f64, &double);
    goes_as(Boolean, true, &[1]);
    goes_as(Boolean, false, &[0]);
}

#[test]
fn text_and_bytes_go_as_java_s_serializers_write_them() {
    let greeting = [0x67, 0x72, 0xc3, 0xbc, 0xc3, 0x9f, 0x65];
    goes_as(Utf8, "grüße".to_owned(), &greeting);
    assert_eq!(written(Utf8, "grüße").as_deref(), Some(&greeting[..]));
    let uuid = "0f8fad5b-d9cb-469f-a165-70867728950e";
    goes_as(UuidText, Uuid::try_parse(uuid).unwrap(), uuid.as_bytes());
    goes_as(Raw, vec![1, 255], &[1, 255]);
    goes_as(Raw, Bytes::from_static(&[1, 255]), &[1, 255]);
    assert_eq!(written(Raw, &[1u8, 255][..]), Some(vec![1, 255]));
    assert_eq!(written(Null, &()), None);
}

#[test]
fn none_is_a_tombstone_and_a_tombstone_is_none() {
    let format = Nullable(BigEndian);
    assert_eq!(written(format, &None::<i32>), None);
    assert_eq!(written(format, &Some(1i32)), Some(vec![0, 0, 0, 1]));
    let none: Option<i32> = format.deserialize_null(&origin()).unwrap();
    assert_eq!(none, None);
    let some: Option<i32> = format.deserialize(&origin(), &[0, 0, 0, 1]).unwrap();
    assert_eq!(some, Some(1));
    Deserializer::<()>::deserialize_null(&Null, &origin()).unwrap();
    Deserializer::<()>::deserialize_null(&Ignored, &origin()).unwrap();
    Ignored.deserialize(&origin(), b"anything").unwrap();
}

#[test]
fn bytes_that_stand_for_nothing_are_refused_with_what_is_wrong() {
    fn refused<T: Debug>(format: impl Deserializer<T>, bytes: &[u8]) -> String {
        format
            .deserialize(&origin(), bytes)
            .unwrap_err()
            .to_string()
    }
    assert_eq!(
        refused::<i32>(BigEndian, &[0; 3]),
        "there are 3 bytes, need 4"
    );
    assert_eq!(refused(Boolean, &[2]), "the byte is 2, need 0 or 1");
    assert_eq!(refused(Boolean, &[]), "there are 0 bytes, need 1");
    assert_eq!(refused(Null, &[7]), "there are 1 bytes, need none");
    assert!(refused::<String>(Utf8, &[0xff]).contains("utf-8"));
    assert!(refused::<u16>(Utf8, b"70000").contains("too large"));
    assert!(!refused(UuidText, b"0f8fad5b").is_empty());
    assert!(refused(Json::<Vec<u32>>::new(), b"[1,").contains("EOF"));
    assert!(!refused(Prost::<Order>::new(), &[0x0f]).is_empty());
}

#[derive(Clone, PartialEq, prost::Message)]
struct Order {
    #[prost(string, tag = "1")]
    customer: String,
    #[prost(uint64, tag = "2")]
    cents: u64,
}

#[test]
fn json_and_protobuf_are_what_other_languages_write() {
    let map = std::collections::BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)]);
    assert_eq!(
        written(Json::new(), &map).as_deref(),
        Some(&br#"{"a":1,"b":2}"#[..])
    );
    let order = Order {
        customer: "x".to_owned(),
        cents: 300,
    };
    goes_as(Prost::new(), order, &[0x0a, 1, b'x', 0x10, 0xac, 0x02]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read_back(number: i64, real: f64, text: String, bytes: Vec<u8>) {
        let origin = origin();
        let back: i64 = BigEndian.deserialize(&origin, &written(BigEndian, &number).unwrap()).unwrap();
        prop_assert_eq!(back, number);
        let back: f64 = BigEndian.deserialize(&origin, &written(BigEndian, &real).unwrap()).unwrap();
        prop_assert_eq!(back.to_bits(), real.to_bits());
        let back: String = Utf8.deserialize(&origin, &written(Utf8, &text).unwrap()).unwrap();
        prop_assert_eq!(&back, &text);
        let back: String = Json::new().deserialize(&origin, &written(Json::new(), &text).unwrap()).unwrap();
        prop_assert_eq!(back, text);
        let back: Vec<u8> = Raw.deserialize(&origin, &written(Raw, &bytes).unwrap()).unwrap();
        prop_assert_eq!(back, bytes);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        let origin = origin();
        let _: Result<i64, _> = BigEndian.deserialize(&origin, &bytes);
        let _: Result<String, _> = Utf8.deserialize(&origin, &bytes);
        let _: Result<Uuid, _> = UuidText.deserialize(&origin, &bytes);
        let _: Result<Order, _> = Prost::<Order>::new().deserialize(&origin, &bytes);
        let _: Result<serde_json::Value, _> = Json::new().deserialize(&origin, &bytes);
    }
}
