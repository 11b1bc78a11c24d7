//! The declared rules by which values are read, beside the types of their columns.

use serde::{Deserialize, Serialize};

use crate::jsonl::epoch::EpochUnit;
use crate::jsonl::local_zone::LocalZone;
use crate::jsonl::time_format::TimeFormat;

/// The declared rule by which the values of a leaf are read. The default declares nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeafRule {
    /// The unit of numbers in a timestamp.
    pub unit: Option<EpochUnit>,
    /// The format of texts in a timestamp or date.
    pub time_format: Option<TimeFormat>,
    /// The zone of texts in a timestamp that have none of their own.
    pub time_zone: Option<LocalZone>,
}

impl LeafRule {
    /// Returns true if it declares nothing.
    pub fn is_empty(&self) -> bool {
        *self == NOTHING_DECLARED
    }

    /// Creates the rule of a timestamp whose numbers count a unit.
    pub fn of_unit(unit: EpochUnit) -> Self {
        Self {
            unit: Some(unit),
            ..Self::default()
        }
    }
}

/// The declared rules of the columns of files: one for each leaf, depth first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeafRules(Option<Vec<LeafRule>>);

/// The rule of leaves that declare nothing.
pub(crate) static NOTHING_DECLARED: LeafRule = LeafRule {
    unit: None,
    time_format: None,
    time_zone: None,
};

impl LeafRules {
    /// Creates the rules of the leaves of a schema.
    pub fn new(leaves: Vec<LeafRule>) -> Self {
        let is_declared = leaves.iter().any(|rule| !rule.is_empty());
        Self(is_declared.then_some(leaves))
    }

    /// Returns true if no leaf declares anything.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Returns the rule of a leaf.
    pub fn of_leaf(&self, leaf: usize) -> &LeafRule {
        let leaves = self.0.as_deref().unwrap_or_default();
        leaves.get(leaf).unwrap_or(&NOTHING_DECLARED)
    }

    /// Returns the rules of some leaves.
    pub(crate) fn select(&self, leaves: impl Iterator<Item = usize>) -> Self {
        match &self.0 {
            Some(_) => Self::new(leaves.map(|leaf| self.of_leaf(leaf).clone()).collect()),
            None => Self(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_selected_by_leaf() {
        let seconds = LeafRule::of_unit(EpochUnit::Second);
        let nothing = LeafRule::default();
        let rules = LeafRules::new(vec![nothing.clone(), seconds.clone(), nothing.clone()]);
        assert_eq!(*rules.of_leaf(1), seconds);
        let selected = rules.select([2, 1].into_iter());
        assert_eq!(*selected.of_leaf(1), seconds);
        assert_eq!(*selected.of_leaf(0), nothing);
        assert_eq!(*selected.of_leaf(2), nothing);
        assert_eq!(rules.select(std::iter::once(0)), LeafRules::default());
        assert!(LeafRules::new(vec![nothing]).is_empty());
    }
}
