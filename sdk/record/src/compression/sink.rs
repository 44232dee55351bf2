//! Where decompressed bytes go: the end of a `Vec`, up to a bound. Knows no codec.

/// Why a codec stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// More would come out than is allowed.
    Full,
    /// The input is not what the codec writes.
    Corrupt(&'static str),
}

/// The end of a `Vec` that may grow by so much and no more.
///
/// ```text
///   | before | written | room (zeroed or spare) |
///            start     len        <= start + bytes_max
/// ```
pub(super) struct Sink<'a> {
    out: &'a mut Vec<u8>,
    /// What was in the `Vec` before; never touched.
    start: usize,
    /// Invariant: no capacity is asked for beyond it.
    end: usize,
}

impl<'a> Sink<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>, bytes_max: usize) -> Sink<'a> {
        let start = out.len();
        Sink {
            out,
            start,
            end: start.saturating_add(bytes_max),
        }
    }

    /// Bytes that may still come.
    pub(super) fn left(&self) -> usize {
        self.end.saturating_sub(self.out.len())
    }

    /// Whether a codec that was given [`Sink::vec`] wrote past the bound, to memory that was there
    /// before.
    pub(super) fn is_beyond(&self) -> bool {
        self.out.len() > self.end
    }

    /// Bytes that fit without more memory.
    pub(super) fn spare(&self) -> usize {
        self.out.capacity() - self.out.len()
    }

    /// Whether the `Vec` was empty before.
    pub(super) fn is_whole_vec(&self) -> bool {
        self.start == 0
    }

    /// What was written so far.
    pub(super) fn written(&self) -> &[u8] {
        self.out.get(self.start..).unwrap_or_default()
    }

    /// Appends bytes that are there.
    pub(super) fn extend(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if bytes.len() > self.left() {
            return Err(Fault::Full);
        }
        self.reserve(bytes.len());
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    /// Spare capacity for `bytes` more, or for what is left when that is less.
    ///
    /// Doubles like `Vec` does, but not past the bound.
    pub(super) fn reserve(&mut self, bytes: usize) {
        let len = self.out.len();
        let bytes = bytes.min(self.left());
        if self.spare() >= bytes {
            return;
        }
        let doubled = self.out.capacity().saturating_mul(2).min(self.end);
        self.out
            .reserve_exact(bytes.max(doubled.saturating_sub(len)));
    }

    /// The `Vec`, for codecs that fill its spare capacity; [`Sink::is_beyond`] has to be asked
    /// afterwards.
    pub(super) fn vec(&mut self) -> &mut Vec<u8> {
        self.out
    }

    /// Lets `fill` write to the next `room` bytes (zeroed), with what was written so far beside it;
    /// keeps as many as it says.
    pub(super) fn fill(
        &mut self,
        room: usize,
        fill: impl FnOnce(&[u8], &mut [u8]) -> Result<usize, Fault>,
    ) -> Result<usize, Fault> {
        if room > self.left() {
            return Err(Fault::Full);
        }
        self.reserve(room);
        let len = self.out.len();
        self.out.resize(len + room, 0);
        let (before, after) = self.out.split_at_mut(len);
        let written = before.get(self.start..).unwrap_or_default();
        let result = fill(written, after);
        let kept = result.unwrap_or(0).min(room);
        self.out.truncate(len + kept);
        result.map(|_| kept)
    }
}
