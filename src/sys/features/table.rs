//! Features as a table, for a bug report.

use std::fmt;

use super::found::Features;
use super::status::Status;
use crate::feature::{Feature, Kind};

/// A line for each feature: its name, what has become of it, and what its absence costs. No line is longer than 120 characters.
impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (title, is_here)) in Kind::TITLES.into_iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{title}:")?;
            for feature in Feature::all().filter(|feature| is_here(feature.kind())) {
                let status = self.status(feature);
                write!(f, "\n  {feature:<18} ")?;
                match status {
                    Status::Used | Status::Available { .. } => write!(f, "{status}")?,
                    Status::Absent { .. } | Status::Disabled { .. } => {
                        write!(f, "{:<43}  {}", status.to_string(), feature.cost())?;
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feature::{DisabledBy, FeatureSet};
    use crate::sys::Policy;

    #[test]
    fn a_table_is_no_wider_than_a_report() {
        let mut policy = Policy::default();
        let off = [
            Features::default(),
            super::super::found::features(),
            {
                policy.by_builder = Feature::all().collect();
                Features::for_ring(&policy)
            },
            {
                policy.by_builder = FeatureSet::EMPTY;
                policy.by_environment = Feature::all().collect();
                Features::for_ring(&policy)
            },
        ];
        for features in off {
            let text = features.to_string();
            assert_eq!(text.lines().count(), Feature::COUNT + Kind::TITLES.len());
            for line in text.lines() {
                assert!(line.chars().count() <= 120, "{line}");
            }
            for feature in Feature::all() {
                assert!(
                    text.contains(&format!("\n  {feature} ")),
                    "{feature}: {text}"
                );
            }
        }
    }

    #[test]
    fn what_is_switched_off_says_by_whom() {
        let policy = Policy {
            by_builder: FeatureSet::EMPTY.with(Feature::SendZc),
            by_environment: FeatureSet::EMPTY.with(Feature::Nop),
            ..Policy::default()
        };
        let features = Features::for_ring(&policy);
        for (feature, by) in [
            (Feature::SendZc, DisabledBy::Builder),
            (Feature::Nop, DisabledBy::Environment),
        ] {
            assert_eq!(features.status(feature), Status::Disabled { by });
            assert!(!features.has(feature));
            assert!(
                !feature
                    .opcode()
                    .is_some_and(|code| features.has_opcode(code))
            );
        }
        let text = features.to_string();
        assert!(text.contains("off, by AdvancedConfig "), "{text}");
        assert!(text.contains("off, by SAFERRING_DISABLE "), "{text}");
    }
}
