//! A request as a broker reads it. What to answer is somebody else's business.

use highwater_wire::message::ProduceRequest;
use highwater_wire::{
    ApiKey, Cursor, Decode, DecodeError, RequestHeader, Response, encode_response,
};

/// A request, up to its body: who asks what in which version.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    /// The broker that is asked.
    pub broker: i32,
    /// The API that is asked.
    pub api: ApiKey,
    /// The version of the request and of its answer.
    pub version: i16,
    /// Comes back in the answer.
    pub correlation: i32,
    body: Cursor<'a>,
}

impl<'a> Asked<'a> {
    /// Reads a frame, without its length.
    ///
    /// # Errors
    ///
    /// When the bytes are no request.
    pub(super) fn read(broker: i32, frame: &'a [u8]) -> Result<Self, DecodeError> {
        let mut body = Cursor::new(frame);
        let (api, header) = RequestHeader::read(&mut body)?;
        Ok(Self {
            broker,
            api,
            version: header.api_version,
            correlation: header.correlation_id,
            body,
        })
    }

    /// Reads the request's body.
    ///
    /// # Errors
    ///
    /// When the bytes are no such message in this version.
    pub fn request<R: Decode<'a>>(&self) -> Result<R, DecodeError> {
        R::decode(self.version, &mut self.body.clone())
    }

    /// Whether the request has no answer: a produce request with `acks=0`.
    pub fn is_one_way(&self) -> bool {
        self.api == ApiKey::Produce
            && self
                .request::<ProduceRequest<'_>>()
                .is_ok_and(|request| request.acks == 0)
    }

    /// The frame of an answer, its length included. `None` when the version cannot say what the answer says.
    pub fn answer<R: Response>(&self, response: &R) -> Option<Vec<u8>> {
        let encoded = encode_response(self.correlation, self.version, response).ok()?;
        encoded.splices.is_empty().then_some(encoded.bytes)
    }
}
