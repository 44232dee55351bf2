//! The partitioner that settings choose: a rule by its name, or ranges by their splits. They may come in any order.

use std::sync::Arc;

use super::{
    Choice, Partitioner, RangeMap, RangeMapError, RangePartitioner, Rule, TopicView,
    UnknownPartitioner,
};
use crate::record::Record;

/// The name under which ranges of keys are chosen.
const RANGE: &str = "range";

/// What was said so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chosen {
    rule: Option<Rule>,
    is_range: bool,
    ignores_keys: bool,
    map: Option<RangeMap>,
}

impl Chosen {
    /// `partitioner.class`.
    pub(crate) fn name(&mut self, name: &str) -> Result<(), UnknownPartitioner> {
        self.is_range = name == RANGE;
        if !self.is_range {
            self.rule = Some(name.parse()?);
        }
        Ok(())
    }

    /// `partitioner.ignore.keys`. As in Java only the default heeds it.
    pub(crate) fn ignore_keys(&mut self, ignores_keys: bool) {
        self.ignores_keys = ignores_keys;
    }

    /// `highwater.partitioner.range.splits`: keys as text, with commas between.
    pub(crate) fn splits(&mut self, splits: &str) -> Result<(), RangeMapError> {
        let splits = splits
            .split(',')
            .map(|split| Box::from(split.trim().as_bytes()));
        self.map = Some(RangeMap::new::<Box<[u8]>>(splits)?);
        Ok(())
    }

    /// What that comes to.
    pub(crate) fn build(&self) -> Arc<dyn Partitioner> {
        match (self.is_range, &self.map, self.rule.unwrap_or_default()) {
            (true, Some(map), _) => Arc::new(RangePartitioner::new(map.clone())),
            (true, None, _) => Arc::new(NoSplits),
            (false, _, Rule::Java) if self.ignores_keys => Arc::new(Rule::Adaptive),
            (false, _, rule) => Arc::new(rule),
        }
    }
}

/// Ranges were chosen, and nobody said which.
#[derive(Debug)]
struct NoSplits;

impl Partitioner for NoSplits {
    fn choose(&self, _: &Record<'_>, _: &TopicView<'_>) -> Choice {
        Choice::Refused(
            "partitioner.class=range needs highwater.partitioner.range.splits".to_owned(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(chosen: &Chosen, record: &Record<'_>) -> Choice {
        chosen.build().choose(record, &TopicView::new("t", 3))
    }

    #[test]
    fn ranges_are_chosen_by_name_and_splits_in_any_order() {
        let record = Record::to("t").key("k");
        let mut chosen = Chosen::default();
        chosen.splits("g, p").unwrap();
        assert_ne!(choose(&chosen, &record), Choice::Refused(String::new()));
        chosen.name("range").unwrap();
        assert_eq!(choose(&chosen, &record), Choice::Fixed(1));
        let mut nameless = Chosen::default();
        nameless.name("range").unwrap();
        assert!(matches!(choose(&nameless, &record), Choice::Refused(_)));
        nameless.splits("a,b").unwrap();
        assert_eq!(choose(&nameless, &record), Choice::Fixed(2));
    }

    #[test]
    fn only_the_default_heeds_that_keys_are_to_be_ignored() {
        let record = Record::to("t").key("k");
        let mut chosen = Chosen::default();
        chosen.ignore_keys(true);
        assert!(matches!(choose(&chosen, &record), Choice::Any(_)));
        chosen.name("murmur2").unwrap();
        assert!(matches!(choose(&chosen, &record), Choice::Fixed(_)));
    }
}
