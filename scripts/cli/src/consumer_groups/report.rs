//! The tables of `--describe`. Pure.

use std::fmt::Write as _;

use crate::client::consumer::TopicPartition;
use crate::client::groups::GroupListing;

/// What stands for "not known".
const MISSING: &str = "-";
const COLUMN: usize = 15;

/// One line of the table of offsets.
#[derive(Debug, Clone, Default)]
pub(super) struct OffsetRow {
    pub(super) at: Option<(String, i32)>,
    pub(super) committed: Option<i64>,
    pub(super) end: Option<i64>,
    /// Member, host and client.
    pub(super) owner: Option<(String, String, String)>,
}

/// The table of offsets of one group.
pub(super) fn offsets(group: &str, rows: &[OffsetRow]) -> String {
    let number = |value: Option<i64>| value.map_or_else(missing, |value| value.to_string());
    let mut cells = vec![
        [
            "GROUP",
            "TOPIC",
            "PARTITION",
            "CURRENT-OFFSET",
            "LOG-END-OFFSET",
            "LAG",
            "CONSUMER-ID",
            "HOST",
            "CLIENT-ID",
        ]
        .map(str::to_owned),
    ];
    for row in rows {
        let (topic, partition) = match &row.at {
            Some((topic, partition)) => (topic.clone(), partition.to_string()),
            None => (missing(), missing()),
        };
        let lag = row
            .committed
            .zip(row.end)
            .map(|(committed, end)| end - committed);
        let owner = row.owner.clone();
        let (member, host, client) = owner.unwrap_or_else(|| (missing(), missing(), missing()));
        cells.push([
            group.to_owned(),
            topic,
            partition,
            number(row.committed),
            number(row.end),
            number(lag),
            member,
            host,
            client,
        ]);
    }
    let widest = |column: usize| {
        let lengths = cells.iter().skip(1).map(|row| row[column].chars().count());
        lengths.max().unwrap_or_default().max(COLUMN)
    };
    let widths = [
        widest(0),
        widest(1),
        10,
        COLUMN,
        COLUMN,
        COLUMN,
        widest(6),
        widest(7),
        0,
    ];
    let mut text = String::new();
    for row in &cells {
        text.push('\n');
        line(&mut text, row, &widths);
    }
    text.push('\n');
    text
}

fn missing() -> String {
    MISSING.to_owned()
}

/// Cells padded to their widths, with a space between them; the last is as it is.
fn line(text: &mut String, cells: &[String], widths: &[usize]) {
    for (index, (cell, width)) in cells.iter().zip(widths).enumerate() {
        if index > 0 {
            text.push(' ');
        }
        let _ = write!(text, "{cell:width$}");
    }
}

/// One line of the table of members.
#[derive(Debug, Clone)]
pub(super) struct MemberRow {
    pub(super) id: String,
    pub(super) instance_id: String,
    pub(super) host: String,
    pub(super) client_id: String,
    /// Partitions by topic.
    pub(super) assignment: Vec<Vec<i32>>,
}

/// The table of members of one group.
pub(super) fn members(group: &str, rows: &[MemberRow], is_verbose: bool) -> String {
    let has_instances = rows.iter().any(|row| !row.instance_id.is_empty());
    let mut header = vec![
        "GROUP",
        "CONSUMER-ID",
        "GROUP-INSTANCE-ID",
        "HOST",
        "CLIENT-ID",
        "#PARTITIONS",
    ];
    if is_verbose {
        header.push("ASSIGNMENT");
    }
    let mut cells = vec![header.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    for row in rows {
        let count: usize = row.assignment.iter().map(Vec::len).sum();
        let mut line = vec![
            group.to_owned(),
            row.id.clone(),
            row.instance_id.clone(),
            row.host.clone(),
            row.client_id.clone(),
            count.to_string(),
        ];
        if is_verbose {
            line.push(assignment(&row.assignment));
        }
        cells.push(line);
    }
    let widest = |column: usize, least: usize| {
        let lengths = cells.iter().skip(1).map(|row| row[column].chars().count());
        lengths.max().unwrap_or_default().max(least)
    };
    let mut widths = vec![
        widest(0, COLUMN),
        widest(1, COLUMN),
        widest(2, 17),
        widest(3, COLUMN),
        widest(4, COLUMN),
        COLUMN,
        0,
    ];
    if !has_instances {
        widths.remove(2);
        for row in &mut cells {
            row.remove(2);
        }
    }
    let mut text = String::from("\n");
    for row in &cells {
        line(&mut text, row, &widths);
        text.push_str(if is_verbose { "\n" } else { " \n" });
    }
    text
}

fn assignment(topics: &[Vec<i32>]) -> String {
    if topics.iter().all(Vec::is_empty) {
        return missing();
    }
    let mut lists: Vec<String> = topics
        .iter()
        .map(|partitions| format!("({})", crate::text::joined(partitions)))
        .collect();
    lists.sort();
    lists.join(", ")
}

/// The state of one group.
pub(super) fn state(
    group: &str,
    coordinator: &str,
    assignor: &str,
    state: &str,
    members: usize,
) -> String {
    let widths = [coordinator.chars().count().max(25), 25, 20, COLUMN, 0];
    let header = [
        "GROUP",
        "COORDINATOR (ID)",
        "ASSIGNMENT-STRATEGY",
        "STATE",
        "#MEMBERS",
    ];
    let row = [group, coordinator, assignor, state, &members.to_string()].map(str::to_owned);
    let mut text = String::from("\n");
    line(&mut text, &header.map(str::to_owned), &widths);
    text.push('\n');
    line(&mut text, &row, &widths);
    text.push('\n');
    text
}

/// The table of `--list` with `--type` or `--state`.
pub(super) fn listing(groups: &[GroupListing], has_type: bool, has_state: bool) -> String {
    let longest = groups.iter().map(|group| group.id.chars().count()).max();
    let width = longest.unwrap_or_default().max(COLUMN) + 10;
    let mut text = String::new();
    let mut row = |id: &str, kind: &str, state: &str| {
        let _ = write!(text, "{id:width$}");
        for (cell, is_shown) in [(kind, has_type), (state, has_state)] {
            if is_shown {
                let _ = write!(text, " {cell:20}");
            }
        }
        text.push('\n');
    };
    row("GROUP", "TYPE", "STATE");
    for group in groups {
        row(&group.id, &group.kind, &group.state);
    }
    text
}

/// The table of `--reset-offsets`. Each row is a line, as before and after
/// Kafka 3.9, whose tool writes all of them into one.
pub(super) fn resets<'a>(
    rows: impl IntoIterator<Item = (&'a str, &'a TopicPartition, i64)>,
) -> String {
    let mut text = format!(
        "\n{:30} {:30} {:10} {:15}\n",
        "GROUP", "TOPIC", "PARTITION", "NEW-OFFSET"
    );
    for (group, (topic, partition), offset) in rows {
        let _ = writeln!(text, "{group:30} {topic:30} {partition:<10} {offset:<15}");
    }
    text
}

/// The table of `--delete-offsets`: what became of each partition.
pub(super) fn deletions(rows: &[(TopicPartition, Option<String>)]) -> String {
    let mut text = format!("\n{:30} {:15} {:15}\n", "TOPIC", "PARTITION", "STATUS");
    for ((topic, partition), error) in rows {
        let partition = match partition {
            ..0 => "Not Provided".to_owned(),
            partition => partition.to_string(),
        };
        let status = match error {
            Some(error) => format!("Error: :{error}"),
            None => "Successful".to_owned(),
        };
        let _ = writeln!(text, "{topic:30} {partition:15} {status:15}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_as_kafka_prints_them() {
        let rows = [
            OffsetRow {
                at: Some(("pageview".to_owned(), 1)),
                committed: Some(2),
                end: Some(3),
                owner: None,
            },
            OffsetRow {
                owner: Some((
                    "console-consumer-1".to_owned(),
                    "/127.0.0.1".to_owned(),
                    "c".to_owned(),
                )),
                ..OffsetRow::default()
            },
        ];
        assert_eq!(
            offsets("g1", &rows),
            "\nGROUP           TOPIC           PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG             CONSUMER-ID        HOST            CLIENT-ID\
             \ng1              pageview        1          2               3               1               -                  -               -\
             \ng1              -               -          -               -               -               console-consumer-1 /127.0.0.1      c\n"
        );
    }

    #[test]
    fn listings_resets_and_deletions() {
        let groups = [GroupListing {
            id: "g1".to_owned(),
            state: "Empty".to_owned(),
            kind: "Classic".to_owned(),
        }];
        assert_eq!(
            listing(&groups, false, true),
            format!(
                "{:25} {:20}\n{:25} {:20}\n",
                "GROUP", "STATE", "g1", "Empty"
            )
        );
        assert!(listing(&groups, true, true).contains("TYPE                 STATE"));
        let at = ("t".to_owned(), 1);
        let table = resets([("g1", &at, 7)]);
        assert_eq!(
            table.lines().last(),
            Some(format!("{:30} {:30} {:10} {:15}", "g1", "t", "1", "7").as_str())
        );
        let rows = [(("t".to_owned(), -1), Some("why".to_owned())), (at, None)];
        assert_eq!(
            deletions(&rows),
            format!(
                "\n{:30} {:15} {:15}\n{:30} {:15} {:15}\n{:30} {:15} {:15}\n",
                "TOPIC",
                "PARTITION",
                "STATUS",
                "t",
                "Not Provided",
                "Error: :why",
                "t",
                "1",
                "Successful"
            )
        );
    }

    #[test]
    fn members_and_states() {
        assert_eq!(
            members("g1", &[], false),
            "\nGROUP           CONSUMER-ID     HOST            CLIENT-ID       #PARTITIONS     \n"
        );
        let row = MemberRow {
            id: "m".to_owned(),
            instance_id: String::new(),
            host: "/h".to_owned(),
            client_id: "c".to_owned(),
            assignment: vec![vec![0, 1], vec![2]],
        };
        assert_eq!(
            members("g1", &[row], true).lines().last(),
            Some(
                "g1              m               /h              c               3               (0,1), (2)"
            )
        );
        assert_eq!(
            state("g1", "127.0.0.1:25010  (0)", "", "Empty", 0),
            "\nGROUP                     COORDINATOR (ID)          ASSIGNMENT-STRATEGY  STATE           #MEMBERS\
             \ng1                        127.0.0.1:25010  (0)                           Empty           0\n"
        );
    }
}
