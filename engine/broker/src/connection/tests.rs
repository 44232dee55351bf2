#![allow(clippy::wildcard_enum_match_arm)]

use bytes::{BufMut, BytesMut};
use highwater_wire::ErrorCode;

use super::*;

type Line = Connection<u32>;

fn connection(limits: Limits) -> Line {
    Connection::new(limits, |api| match api.id() {
        3 => Some(0..=13),
        18 => Some(0..=4),
        _ => None,
    })
}

fn limits() -> Limits {
    Limits {
        frame_bytes_max: 1000,
        in_flight_max: 3,
        begun_bytes_max: 500,
        answered_bytes_max: 100,
    }
}

/// A request with header version 1 (client id `me`) and these bytes for a body.
fn request(api: i16, version: i16, correlation_id: i32, body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    frame.put_i32(i32::try_from(4 + 4 + 4 + body.len()).unwrap());
    frame.put_i16(api);
    frame.put_i16(version);
    frame.put_i32(correlation_id);
    frame.put_i16(2);
    frame.put_slice(b"me");
    frame.put_slice(body);
    frame
}

fn feed(line: &mut Line, bytes: &[u8]) -> (BytesMut, Received) {
    let mut buffer = BytesMut::from(bytes);
    let received = line.next_request(&mut buffer);
    (buffer, received)
}

fn inbound(received: Received) -> Inbound {
    match received {
        Received::Request(inbound) => inbound,
        other => panic!("expected a request, found {other:?}"),
    }
}

fn frame(bytes: &'static [u8]) -> Answer {
    Answer::Frame(Frame {
        head: Bytes::from_static(bytes),
        splices: Vec::new(),
    })
}

fn leave(line: &mut Line) -> (Vec<Bytes>, Result<(), String>) {
    let mut out = Vec::new();
    let verdict = line
        .take_answers(&mut out)
        .map_err(|cause| cause.to_string());
    (out.into_iter().map(|frame| frame.head).collect(), verdict)
}

#[test]
fn a_request_is_found_whole_wherever_the_stream_is_cut() {
    let bytes = request(3, 1, 7, b"body");
    for cut in 0..bytes.len() {
        let mut line = connection(limits());
        let (mut buffer, received) = feed(&mut line, &bytes[..cut]);
        match received {
            Received::Wanted(wanted) if cut < 4 => assert_eq!(wanted, 4 - cut),
            Received::Wanted(wanted) => assert_eq!(wanted, bytes.len() - cut),
            other => panic!("{other:?}"),
        }
        buffer.extend_from_slice(&bytes[cut..]);
        let inbound = inbound(line.next_request(&mut buffer));
        assert_eq!(
            (inbound.api, inbound.version, inbound.correlation_id),
            (ApiKey::Metadata, 1, 7)
        );
        assert_eq!(inbound.client_id.as_deref(), Some("me"));
        assert_eq!(&inbound.body[..], b"body");
        assert!(buffer.is_empty());
    }
}

#[test]
fn answers_leave_in_the_order_the_requests_came_however_they_are_made() {
    let mut line = connection(limits());
    line.place(Place::Waiting(1), 10);
    line.place(Place::Answered(frame(b"second")), 10);
    line.place(Place::Waiting(3), 10);
    assert_eq!(leave(&mut line), (vec![], Ok(())));
    assert_eq!(line.first_waiting(), Some(&mut 1));
    line.answer_first(frame(b"first"));
    assert_eq!(
        leave(&mut line),
        (vec![Bytes::from("first"), Bytes::from("second")], Ok(()))
    );
    assert_eq!(line.first_waiting(), Some(&mut 3));
    line.answer_first(Answer::Silence);
    assert_eq!(leave(&mut line), (vec![], Ok(())));
    assert_eq!(line.first_waiting(), None);
}

#[test]
fn a_connection_takes_no_more_than_its_share_of_requests_and_of_unsent_answers() {
    let mut line = connection(limits());
    for request in 0..3 {
        assert!(line.has_room(false));
        line.place(Place::Waiting(request), 10);
    }
    assert!(!line.has_room(false));
    line.answer_first(Answer::Silence);
    leave(&mut line).1.unwrap();
    assert!(line.has_room(false));

    let mut line = connection(limits());
    line.place(Place::Waiting(0), 10);
    line.place(Place::Answered(frame(&[0; 100])), 10);
    assert!(!line.has_room(false));
    line.answer_first(Answer::Silence);
    assert_eq!(leave(&mut line).0.len(), 1);
    assert!(line.has_room(false));
}

#[test]
fn bodies_under_way_are_bounded_but_one_request_always_goes() {
    let mut line = connection(limits());
    assert!(line.has_room(true), "nothing is under way");
    line.place(Place::Waiting(1), 9999);
    assert!(!line.has_room(false));
    assert_eq!(line.begun_bytes(), 9999);
    line.answer_first(Answer::Silence);
    leave(&mut line).1.unwrap();
    assert_eq!(line.begun_bytes(), 0);
    line.place(Place::Waiting(2), 10);
    assert!(line.has_room(false) && !line.has_room(true));
}

#[test]
fn a_frame_no_request_may_have_ends_the_connection_behind_the_answers_that_are_due() {
    for (bytes, fact) in [
        (
            &b"\x7f\xff\xff\xff"[..],
            "frame length 2147483647 exceeds limit 1000",
        ),
        (b"\xff\xff\xff\xff", "frame length -1 is negative"),
        (b"\0\0\0\x02\0\x03", "request header"),
        (b"\0\0\0\0", "request header"),
    ] {
        let mut line = connection(limits());
        line.place(Place::Waiting(1), 10);
        let (_, received) = feed(&mut line, bytes);
        assert!(matches!(received, Received::Violation), "{received:?}");
        assert!(!line.has_room(false), "nobody listens any more");
        assert_eq!(leave(&mut line), (vec![], Ok(())));
        line.answer_first(frame(b"due"));
        let (answers, verdict) = leave(&mut line);
        assert_eq!(answers, [Bytes::from("due")]);
        assert!(verdict.clone().unwrap_err().contains(fact), "{verdict:?}");
    }
}

#[test]
fn an_api_or_version_that_is_not_served_ends_the_connection_with_the_fact() {
    for (bytes, fact) in [
        (
            request(10, 0, 1, b""),
            "FindCoordinator (version 0) is not served here",
        ),
        (
            request(3, 14, 1, b"\0"),
            "Metadata version 14 is not served here, 0 to 13 are",
        ),
        (request(999, 0, 1, b""), "request header"),
    ] {
        let mut line = connection(limits());
        let (_, received) = feed(&mut line, &bytes);
        assert!(matches!(received, Received::Violation), "{received:?}");
        let verdict = leave(&mut line).1;
        assert!(verdict.clone().unwrap_err().contains(fact), "{verdict:?}");
    }
}

#[test]
fn api_versions_is_heard_in_any_version() {
    let mut line = connection(limits());
    // Header version 2 of a version of the future: tagged fields after the client id.
    let (_, received) = feed(&mut line, &request(18, 99, 5, b"\0what is this"));
    let inbound = inbound(received);
    assert_eq!(
        (inbound.api, inbound.version, inbound.correlation_id),
        (ApiKey::ApiVersions, 99, 5)
    );
}

#[test]
fn hanging_up_drops_what_stands_behind_it() {
    let mut line = connection(limits());
    line.place(Place::Answered(frame(b"first")), 10);
    line.place(
        Place::Answered(Answer::Hangup(Cause::Unacknowledged(
            ErrorCode::NotLeaderOrFollower,
        ))),
        10,
    );
    line.place(Place::Waiting(3), 10);
    let (answers, verdict) = leave(&mut line);
    assert_eq!(answers, [Bytes::from("first")]);
    assert!(verdict.unwrap_err().contains("NotLeaderOrFollower"));
    assert_eq!(line.first_waiting(), None);
}
