//! What `--describe` prints: pure, one line per topic and per partition.

use std::fmt::Write as _;

use crate::client::admin::Reassignment;
use crate::text::joined;

/// The name of the setting behind the two min-ISR reports.
pub(super) const MIN_ISR: &str = "min.insync.replicas";

/// A partition with what the reports need to know of it.
#[derive(Debug, Clone)]
pub(super) struct PartitionLine {
    pub(super) index: i32,
    pub(super) leader: Option<i32>,
    pub(super) replicas: Vec<i32>,
    pub(super) isr: Vec<i32>,
    pub(super) reassignment: Option<Reassignment>,
}

/// A topic to describe.
#[derive(Debug, Clone)]
pub(super) struct TopicLines {
    pub(super) name: String,
    pub(super) id: Option<String>,
    /// Settings that somebody has set.
    pub(super) configs: Vec<(String, String)>,
    pub(super) min_isr: Option<usize>,
    pub(super) partitions: Vec<PartitionLine>,
    pub(super) is_marked_for_deletion: bool,
}

/// Which partitions a report is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Report {
    UnderReplicated,
    Unavailable,
    UnderMinIsr,
    AtMinIsr,
}

/// Which lines are wanted.
#[derive(Debug, Clone, Default)]
pub(super) struct Selection {
    pub(super) reports: Vec<Report>,
    pub(super) only_overridden: bool,
    pub(super) live_brokers: Vec<i32>,
    /// Kafka 3.9's columns for eligible leader replicas, which are never known here.
    pub(super) with_elr: bool,
}

/// The lines about `topic`, each ended by a newline.
pub(super) fn describe(topic: &TopicLines, selection: &Selection) -> String {
    let mut text = String::new();
    let shows_topic =
        selection.reports.is_empty() && (!selection.only_overridden || !topic.configs.is_empty());
    if shows_topic {
        topic_line(&mut text, topic);
    }
    if !selection.only_overridden {
        for partition in &topic.partitions {
            if is_reported(partition, topic.min_isr, selection) {
                partition_line(&mut text, topic, partition, selection);
            }
        }
    }
    text
}

fn is_reported(partition: &PartitionLine, min_isr: Option<usize>, selection: &Selection) -> bool {
    let in_sync = partition.isr.len();
    selection.reports.is_empty()
        || selection.reports.iter().any(|report| match report {
            Report::UnderReplicated => replication_factor(partition) > in_sync,
            Report::Unavailable => partition
                .leader
                .is_none_or(|leader| !selection.live_brokers.contains(&leader)),
            Report::UnderMinIsr => {
                partition.leader.is_none() || min_isr.is_some_and(|least| in_sync < least)
            }
            Report::AtMinIsr => min_isr == Some(in_sync),
        })
}

/// Replicas that a move is only adding do not count yet.
fn replication_factor(partition: &PartitionLine) -> usize {
    let in_progress = partition.reassignment.as_ref().filter(|going_on| {
        let mut changing = going_on.adding.iter().chain(&going_on.removing);
        changing.any(|id| partition.replicas.contains(id))
    });
    match in_progress {
        Some(going_on) => going_on
            .replicas
            .len()
            .saturating_sub(going_on.adding.len()),
        None => partition.replicas.len(),
    }
}

fn topic_line(text: &mut String, topic: &TopicLines) {
    let _ = write!(text, "Topic: {}", topic.name);
    if let Some(id) = &topic.id {
        let _ = write!(text, "\tTopicId: {id}");
    }
    let factor = topic.partitions.first().map_or(0, replication_factor);
    let configs: Vec<String> = topic
        .configs
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let _ = write!(
        text,
        "\tPartitionCount: {}\tReplicationFactor: {factor}\tConfigs: {}",
        topic.partitions.len(),
        configs.join(",")
    );
    finish(text, topic);
}

fn partition_line(
    text: &mut String,
    topic: &TopicLines,
    partition: &PartitionLine,
    selection: &Selection,
) {
    let leader = partition
        .leader
        .map_or_else(|| "none".to_owned(), |id| id.to_string());
    let _ = write!(
        text,
        "\tTopic: {}\tPartition: {}\tLeader: {leader}\tReplicas: {}\tIsr: {}",
        topic.name,
        partition.index,
        joined(&partition.replicas),
        joined(&partition.isr)
    );
    if let Some(going_on) = &partition.reassignment {
        let _ = write!(
            text,
            "\tAdding Replicas: {}\tRemoving Replicas: {}",
            joined(&going_on.adding),
            joined(&going_on.removing)
        );
    }
    if selection.with_elr {
        text.push_str("\tElr: N/A\tLastKnownElr: N/A");
    }
    finish(text, topic);
}

fn finish(text: &mut String, topic: &TopicLines) {
    if topic.is_marked_for_deletion {
        text.push_str("\tMarkedForDeletion: true");
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(index: i32, leader: Option<i32>, replicas: &[i32], isr: &[i32]) -> PartitionLine {
        PartitionLine {
            index,
            leader,
            replicas: replicas.to_vec(),
            isr: isr.to_vec(),
            reassignment: None,
        }
    }

    fn topic() -> TopicLines {
        TopicLines {
            name: "pageview".to_owned(),
            id: Some("3R84BlpKSS2Dtk098i3Hrw".to_owned()),
            configs: Vec::new(),
            min_isr: Some(2),
            partitions: vec![
                partition(0, Some(0), &[0, 1], &[0, 1]),
                partition(1, Some(1), &[1, 0], &[1]),
                partition(2, None, &[2, 0], &[]),
            ],
            is_marked_for_deletion: false,
        }
    }

    fn selection(reports: &[Report]) -> Selection {
        Selection {
            reports: reports.to_vec(),
            live_brokers: vec![0],
            ..Selection::default()
        }
    }

    fn indexes(report: Report) -> Vec<String> {
        describe(&topic(), &selection(&[report]))
            .lines()
            .filter_map(|line| line.split('\t').nth(2).map(str::to_owned))
            .collect()
    }

    #[test]
    fn the_lines_of_kafka_3_9() {
        let with_elr = Selection {
            with_elr: true,
            ..Selection::default()
        };
        let mut topic = topic();
        topic.partitions.truncate(1);
        assert_eq!(
            describe(&topic, &with_elr),
            "Topic: pageview\tTopicId: 3R84BlpKSS2Dtk098i3Hrw\tPartitionCount: 1\tReplicationFactor: 2\tConfigs: \n\
             \tTopic: pageview\tPartition: 0\tLeader: 0\tReplicas: 0,1\tIsr: 0,1\tElr: N/A\tLastKnownElr: N/A\n"
        );
        topic.id = None;
        topic.configs = vec![("a".into(), "1".into()), ("b".into(), "2".into())];
        topic.is_marked_for_deletion = true;
        assert_eq!(
            describe(&topic, &Selection::default()),
            "Topic: pageview\tPartitionCount: 1\tReplicationFactor: 2\tConfigs: a=1,b=2\tMarkedForDeletion: true\n\
             \tTopic: pageview\tPartition: 0\tLeader: 0\tReplicas: 0,1\tIsr: 0,1\tMarkedForDeletion: true\n"
        );
    }

    #[test]
    fn reports_choose_partitions() {
        assert_eq!(
            indexes(Report::UnderReplicated),
            ["Partition: 1", "Partition: 2"]
        );
        assert_eq!(
            indexes(Report::Unavailable),
            ["Partition: 1", "Partition: 2"]
        );
        assert_eq!(
            indexes(Report::UnderMinIsr),
            ["Partition: 1", "Partition: 2"]
        );
        assert_eq!(indexes(Report::AtMinIsr), ["Partition: 0"]);
    }

    #[test]
    fn a_missing_leader_is_none() {
        let text = describe(&topic(), &Selection::default());
        assert!(
            text.contains("Partition: 2\tLeader: none\tReplicas: 2,0\tIsr: \n"),
            "{text}"
        );
    }

    #[test]
    fn only_topics_with_settings_of_their_own() {
        let only = Selection {
            only_overridden: true,
            ..Selection::default()
        };
        assert_eq!(describe(&topic(), &only), "");
        let mut topic = topic();
        topic.configs.push(("a".into(), "1".into()));
        assert_eq!(describe(&topic, &only).lines().count(), 1);
    }

    #[test]
    fn a_move_shows_and_its_new_replicas_do_not_count() {
        let mut topic = topic();
        topic.partitions = vec![partition(0, Some(0), &[0, 1, 2], &[0, 1])];
        topic.partitions[0].reassignment = Some(Reassignment {
            replicas: vec![0, 1, 2],
            adding: vec![2],
            removing: vec![1],
        });
        let text = describe(&topic, &Selection::default());
        assert!(text.contains("ReplicationFactor: 2\t"), "{text}");
        assert!(
            text.contains("\tAdding Replicas: 2\tRemoving Replicas: 1\n"),
            "{text}"
        );
        assert_eq!(describe(&topic, &selection(&[Report::UnderReplicated])), "");
    }
}
