//! The trace a record belongs to: W3C Trace Context in the record's headers `traceparent` and `tracestate`.
//!
//! Whoever writes to a topic can write any header, so one that does not follow the recommendation is as good as none.

use std::fmt;
use std::str::FromStr;

use crate::record::HeaderField;

const PARENT: &str = "traceparent";
const STATE: &str = "tracestate";
/// `00-`, 32 digits, `-`, 16 digits, `-`, 2 digits.
const PARENT_BYTES: usize = 55;
/// What a state may have at most (W3C Trace Context, 3.3.1.5): members, and bytes that must be passed on.
const STATE_MEMBERS_MAX: usize = 32;
const STATE_BYTES_MAX: usize = 512;

/// Where in which trace something happened: what one service hands to the next, so that a tracing backend can join what
/// both saw.
///
/// ```
/// use highwater::{Record, TraceContext};
///
/// let context: TraceContext = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse()?;
/// let record = Record::to("orders").value("paid").trace_context(&context);
/// assert_eq!(record.headers().len(), 1);
/// # Ok::<_, highwater::InvalidTraceContext>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// Invariant: ASCII, as [`FromStr`] takes it.
    parent: [u8; PARENT_BYTES],
    state: Option<Box<str>>,
}

/// A text is no trace context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no trace context, need version-traceid-spanid-flags in lower-case digits (W3C)")]
pub struct InvalidTraceContext;

impl TraceContext {
    /// A context from its parts. The ids are as W3C has them: neither may be all zeros.
    ///
    /// # Errors
    ///
    /// [`InvalidTraceContext`] for ids of zeros.
    pub fn new(
        trace_id: u128,
        span_id: u64,
        is_sampled: bool,
    ) -> Result<Self, InvalidTraceContext> {
        format!(
            "00-{trace_id:032x}-{span_id:016x}-{:02x}",
            u8::from(is_sampled)
        )
        .parse()
    }

    /// With what tracing systems add of their own; one that does not follow the recommendation is left out.
    pub fn with_state(mut self, state: &str) -> Self {
        self.state = is_state(state).then(|| state.into());
        self
    }

    /// Which trace.
    pub fn trace_id(&self) -> u128 {
        u128::from_str_radix(self.text(3..35), 16).unwrap_or_default()
    }

    /// Which span of it: the parent of what comes next.
    pub fn span_id(&self) -> u64 {
        u64::from_str_radix(self.text(36..52), 16).unwrap_or_default()
    }

    /// Whether the trace is recorded.
    pub fn is_sampled(&self) -> bool {
        u8::from_str_radix(self.text(53..55), 16).is_ok_and(|flags| flags & 1 == 1)
    }

    /// What tracing systems have added of their own.
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// The value of `traceparent`.
    pub fn traceparent(&self) -> &str {
        self.text(0..PARENT_BYTES)
    }

    fn text(&self, range: std::ops::Range<usize>) -> &str {
        let bytes = self.parent.get(range).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    /// The headers that carry it.
    pub(crate) fn headers(&self) -> impl Iterator<Item = HeaderField<'_>> {
        let state = self.state.as_deref();
        let state = state.map(|state| HeaderField::new(STATE, Some(state.as_bytes())));
        std::iter::once(HeaderField::new(PARENT, Some(&self.parent))).chain(state)
    }

    pub(crate) fn is_header(header: &HeaderField<'_>) -> bool {
        header.key == PARENT.as_bytes() || header.key == STATE.as_bytes()
    }

    /// What headers carry: of several of a name the last counts, as in Kafka's own tracing.
    pub fn from_headers<'h>(headers: impl IntoIterator<Item = HeaderField<'h>>) -> Option<Self> {
        let (mut parent, mut state) = (None, None);
        for header in headers {
            if header.key == PARENT.as_bytes() {
                parent = header.value;
            } else if header.key == STATE.as_bytes() {
                state = header.value;
            }
        }
        let parent: Self = std::str::from_utf8(parent?).ok()?.parse().ok()?;
        let state = state.and_then(|state| std::str::from_utf8(state).ok());
        Some(match state {
            Some(state) => parent.with_state(state),
            None => parent,
        })
    }
}

impl FromStr for TraceContext {
    type Err = InvalidTraceContext;

    /// Reads a `traceparent`. A version that is not known yet is read as far as it is understood, and passed on as version 0.
    fn from_str(text: &str) -> Result<Self, InvalidTraceContext> {
        let mut parent = [0; PARENT_BYTES];
        let head = text.as_bytes().get(..PARENT_BYTES);
        parent.copy_from_slice(head.ok_or(InvalidTraceContext)?);
        let rest = text.as_bytes().get(PARENT_BYTES);
        let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_well_formed = parent.iter().enumerate().all(|(at, byte)| match at {
            2 | 35 | 52 => *byte == b'-',
            _ => is_digit(byte),
        });
        let follows_version = match &parent[..2] {
            b"ff" => false,
            b"00" => rest.is_none(),
            _ => rest.is_none_or(|next| *next == b'-'),
        };
        let has_ids = parent[3..35].iter().any(|byte| *byte != b'0')
            && parent[36..52].iter().any(|byte| *byte != b'0');
        if !(is_well_formed && follows_version && has_ids) {
            return Err(InvalidTraceContext);
        }
        parent[..2].copy_from_slice(b"00");
        Ok(Self {
            parent,
            state: None,
        })
    }
}

fn is_state(state: &str) -> bool {
    let is_member = |member: &str| {
        let member = member.trim_matches([' ', '\t']);
        member.is_empty()
            || member
                .split_once('=')
                .is_some_and(|(key, _)| !key.is_empty())
    };
    !state.is_empty()
        && state.len() <= STATE_BYTES_MAX
        && state
            .bytes()
            .all(|byte| matches!(byte, b' '..=b'~' | b'\t'))
        && state.split(',').count() <= STATE_MEMBERS_MAX
        && state.split(',').all(is_member)
}

impl fmt::Debug for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TraceContext")
            .field("parent", &self.traceparent())
            .field("state", &self.state)
            .finish()
    }
}

impl fmt::Display for TraceContext {
    /// As in `traceparent`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.traceparent())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Record;

    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_example_of_the_recommendation_is_read_and_written() {
        let context: TraceContext = EXAMPLE.parse().unwrap();
        assert_eq!(
            context.trace_id(),
            0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736
        );
        assert_eq!(context.span_id(), 0x00f0_67aa_0ba9_02b7);
        assert!(context.is_sampled());
        let made = TraceContext::new(context.trace_id(), context.span_id(), true);
        assert_eq!(made.unwrap().to_string(), EXAMPLE);
        assert!(TraceContext::new(0, 1, true).is_err());
    }

    #[test]
    fn what_the_recommendation_forbids_is_as_good_as_nothing() {
        for text in [
            "",
            "00",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01more",
            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473\u{e9}-00f067aa0ba902b7-0",
        ] {
            assert_eq!(
                text.parse::<TraceContext>(),
                Err(InvalidTraceContext),
                "{text}"
            );
        }
        let later = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more";
        let context: TraceContext = later.parse().unwrap();
        assert_eq!(context.traceparent(), EXAMPLE);
    }

    #[test]
    fn a_state_that_is_none_is_left_out_and_the_parent_stays() {
        let context: TraceContext = EXAMPLE.parse().unwrap();
        let good = "rojo=00f067aa0ba902b7, congo=t61rcWkgMzE";
        assert_eq!(context.clone().with_state(good).state(), Some(good));
        let (many, long) = ("a=b,".repeat(32), format!("a={}", "b".repeat(511)));
        for state in ["", "novalue", "=x", "a=\u{7}", "a=\u{e9}", &many, &long] {
            assert_eq!(context.clone().with_state(state).state(), None, "{state:?}");
        }
    }

    #[test]
    fn a_record_carries_one_context_and_gives_it_back() {
        let old = TraceContext::new(1, 2, false).unwrap();
        let new: TraceContext = EXAMPLE.parse().unwrap();
        let new = new.with_state("a=b");
        let record = Record::to("t")
            .header("x", "y")
            .trace_context(&old)
            .trace_context(&new);
        assert_eq!(record.headers().len(), 3);
        let headers = record.headers().iter().copied();
        assert_eq!(TraceContext::from_headers(headers), Some(new));
        for value in [None, Some(&b"\xff"[..])] {
            let header = HeaderField::new("traceparent", value);
            assert_eq!(TraceContext::from_headers([header]), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(parent: Vec<u8>, state: Vec<u8>) {
            let headers = [
                HeaderField::new("traceparent", Some(&parent)),
                HeaderField::new("tracestate", Some(&state)),
            ];
            prop_assert_eq!(TraceContext::from_headers(headers), None);
        }

        #[test]
        fn what_is_written_is_read(trace in 1_u128.., span in 1_u64.., sampled: bool) {
            let context = TraceContext::new(trace, span, sampled).unwrap();
            prop_assert_eq!(context.to_string().parse(), Ok(context.clone()));
            prop_assert_eq!((context.trace_id(), context.span_id()), (trace, span));
            prop_assert_eq!(context.is_sampled(), sampled);
        }
    }
}
