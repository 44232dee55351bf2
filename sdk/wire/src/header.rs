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
    let length = header.encoded_len(header_version)? + message.encoded_len(version)?;
    let Ok(prefix) = i32::try_from(length) else {
        return Err(EncodeError::TooLong {
            length,
            limit: 0x7fff_ffff,
        });
    };
    let mut encoder = Encoder::with_capacity(4 + length);
    encoder.bytes(&prefix.to_be_bytes());
    header.encode(header_version, &mut encoder)?;
    message.encode(version, &mut encoder)?;
    Ok(encoder.finish())
}
