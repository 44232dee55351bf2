//! What stands before a message in its frame: who asks what in which version, and which question an answer belongs to.
//!
//! ```text
//!  request frame     | length i32 | api key i16 | version i16 | correlation id i32 | client id | (tags) | body ..
//!  response frame    | length i32 | correlation id i32 | (tags) | body ..
//! ```

use crate::primitive::{Cursor, Encoded, Encoder, Sink};
use crate::{ApiKey, Decode, DecodeError, EncodeError, Message, Request, Response, Wire};

/// Stands before every request.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 1..=2, flexible = 2..)]
pub struct RequestHeader<'a> {
    /// The API that is asked, by number.
    pub api_key: i16,
    /// The version of the request, and of its answer.
    pub api_version: i16,
    /// Comes back in the answer's header.
    pub correlation_id: i32,
    /// What the client calls itself.
    #[wire(nullable = 1.., default = Some(""), ignorable, inflexible)]
    pub client_id: Option<&'a str>,
}

/// Stands before every response.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=1, flexible = 1..)]
pub struct ResponseHeader {
    /// That of the request.
    pub correlation_id: i32,
}

impl<'a> RequestHeader<'a> {
    /// Reads the header of a request frame, in the header version that its API and version call for. The cursor is
    /// left at the body.
    ///
    /// # Errors
    /// [`DecodeError::UnknownApi`] for an API that Kafka does not have, and where the bytes are no header. A version
    /// that does not exist is no error here.
    pub fn read(cursor: &mut Cursor<'a>) -> Result<(ApiKey, Self), DecodeError> {
        let mut peek = cursor.clone();
        let api_key = i16::from_be_bytes(peek.fixed()?);
        let api_version = i16::from_be_bytes(peek.fixed()?);
        let api = ApiKey::from_id(api_key).ok_or(DecodeError::UnknownApi { api_key })?;
        Ok((
            api,
            Self::decode(api.request_header_version(api_version), cursor)?,
        ))
    }
}

/// Writes a request with its header and the length before both.
///
/// # Errors
/// Where the version cannot say what the request says, or the frame exceeds 2^31 - 1 bytes.
pub fn encode_request<R: Request>(
    correlation_id: i32,
    client_id: Option<&str>,
    version: i16,
    request: &R,
) -> Result<Encoded, EncodeError> {
    let header = RequestHeader {
        api_key: R::API.id(),
        api_version: version,
        correlation_id,
        client_id,
    };
    frame(
        &header,
        R::API.request_header_version(version),
        request,
        version,
    )
}

/// Writes a response with its header and the length before both.
///
/// # Errors
/// Where the version cannot say what the response says, or the frame exceeds 2^31 - 1 bytes.
pub fn encode_response<R: Response>(
    correlation_id: i32,
    version: i16,
    response: &R,
) -> Result<Encoded, EncodeError> {
    frame(
        &ResponseHeader { correlation_id },
        R::API.response_header_version(version),
        response,
        version,
    )
}

/// Reads a response frame (without its length) as the answer to a request of this version: correlation id and answer.
///
/// # Errors
/// Where the bytes are no such response.
pub fn decode_response<'a, R: Response + Decode<'a>>(
    version: i16,
    frame: &'a [u8],
) -> Result<(i32, R), DecodeError> {
    let mut cursor = Cursor::new(frame);
    let header = ResponseHeader::decode(R::API.response_header_version(version), &mut cursor)?;
    Ok((header.correlation_id, R::decode(version, &mut cursor)?))
}

fn frame<H: Message, M: Message>(
    header: &H,
    header_version: i16,
    message: &M,
    version: i16,
) -> Result<Encoded, EncodeError> {
    let body = message.measure(version)?;
    let length = header.encoded_len(header_version)? + body.bytes;
    let Ok(prefix) = i32::try_from(length) else {
        return Err(EncodeError::TooLong {
            length,
            limit: 0x7fff_ffff,
        });
    };
    let mut encoder = Encoder::with_capacity(4 + length - body.deferred);
    encoder.bytes(&prefix.to_be_bytes());
    header.encode(header_version, &mut encoder)?;
    message.encode(version, &mut encoder)?;
    Ok(encoder.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{
        ApiVersionsRequest, FetchResponse, MetadataRequest, MetadataResponse, fetch,
    };
    use crate::{Array, RecordBytes};

    #[test]
    fn a_request_is_read_back_with_the_header_that_its_version_calls_for() {
        for version in [0, 8, 9, 13] {
            let request = MetadataRequest {
                topics: Some(Array::empty()),
                ..MetadataRequest::default()
            };
            let frame = encode_request(42, Some("me"), version, &request).unwrap();
            assert!(frame.splices.is_empty());
            let (length, body) = frame.bytes.split_first_chunk().unwrap();
            assert_eq!(
                i32::from_be_bytes(*length),
                i32::try_from(body.len()).unwrap()
            );
            let mut cursor = Cursor::new(body);
            let (api, header) = RequestHeader::read(&mut cursor).unwrap();
            assert_eq!(
                (api, header.api_version, header.correlation_id),
                (ApiKey::Metadata, version, 42)
            );
            assert_eq!(header.client_id, Some("me"));
            assert_eq!(MetadataRequest::decode(version, &mut cursor), Ok(request));
            assert_eq!(cursor.remaining(), 0);
        }
    }

    #[test]
    fn the_header_of_a_version_of_the_future_is_read() {
        let frame = encode_request(1, None, 3, &ApiVersionsRequest::default()).unwrap();
        let mut body = frame.bytes[4..].to_vec();
        body[3] = 99;
        let (api, header) = RequestHeader::read(&mut Cursor::new(&body)).unwrap();
        assert_eq!(
            (api, header.api_version, header.client_id),
            (ApiKey::ApiVersions, 99, None)
        );
    }

    #[test]
    fn an_api_that_kafka_does_not_have_is_refused() {
        for key in [-1i16, 4, 7, 1000] {
            let mut body = key.to_be_bytes().to_vec();
            body.extend([0; 20]);
            assert_eq!(
                RequestHeader::read(&mut Cursor::new(&body)),
                Err(DecodeError::UnknownApi { api_key: key })
            );
        }
    }

    #[test]
    fn a_response_is_read_back_with_its_correlation_id() {
        for version in [0, 9] {
            let response = MetadataResponse {
                controller_id: -1,
                ..MetadataResponse::default()
            };
            let frame = encode_response(-7, version, &response).unwrap();
            let read = decode_response::<MetadataResponse<'_>>(version, &frame.bytes[4..]).unwrap();
            assert_eq!(read, (-7, response));
        }
    }

    #[test]
    fn the_length_of_a_frame_counts_the_records_that_somebody_else_sends() {
        let partition = |len| fetch::PartitionData {
            records: Some(RecordBytes::Deferred { len }),
            ..fetch::PartitionData::default()
        };
        let topic = fetch::FetchableTopicResponse {
            topic: "t",
            partitions: Array::from([partition(1000), partition(2000)]),
            ..fetch::FetchableTopicResponse::default()
        };
        let response = FetchResponse {
            responses: Array::from([topic]),
            ..FetchResponse::default()
        };
        let frame = encode_response(1, 12, &response).unwrap();
        let length = i32::from_be_bytes(*frame.bytes.first_chunk().unwrap());
        assert_eq!(
            usize::try_from(length).unwrap(),
            frame.bytes.len() - 4 + 3000
        );
        assert_eq!(
            frame.bytes.capacity(),
            frame.bytes.len(),
            "one allocation, of what is written here"
        );

        // Filled in, it is a frame like any other.
        let (mut whole, mut from) = (Vec::new(), 0);
        for splice in &frame.splices {
            whole.extend_from_slice(&frame.bytes[from..splice.at]);
            whole.extend(std::iter::repeat_n(b'r', splice.len as usize));
            from = splice.at;
        }
        whole.extend_from_slice(&frame.bytes[from..]);
        let (_, read) = decode_response::<FetchResponse<'_>>(12, &whole[4..]).unwrap();
        let lengths: Vec<usize> = read
            .responses
            .first()
            .unwrap()
            .partitions
            .iter()
            .map(|partition| partition.records.unwrap().len())
            .collect();
        assert_eq!(lengths, [1000, 2000]);
    }
}
