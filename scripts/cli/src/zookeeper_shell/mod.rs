//! `kafka zookeeper-shell`: looks at and changes single nodes.
//!
//! Flow: `zookeeper-shell host:port [command...]` runs one command; without
//! one, each line of standard input is a command. The texts are zkCli's.

mod command;

use std::io::{self, BufRead as _, IsTerminal as _};

use broker::zk::{Client, CreateMode, Error, ErrorCode};
use bytes::Bytes;
use common::zk::Stat;

use crate::failure::{Failure, Outcome};
use crate::{console, runtime, zookeeper};
use command::{Command, Refused, USAGES};

/// The exit code for a command that is not known.
const UNKNOWN_COMMAND: u8 = 127;

pub(crate) fn run(words: &[String]) -> Outcome {
    let words = match words.split_first() {
        Some((first, rest)) if first == "-server" => rest,
        _ => words,
    };
    let Some((servers, mut rest)) = words.split_first() else {
        return Err(Failure::new(
            "USAGE: zookeeper-shell zookeeper_host:port[/path] [-zk-tls-config-file file] [args...]",
        ));
    };
    if rest
        .first()
        .is_some_and(|word| word == "-zk-tls-config-file")
    {
        rest = rest.get(2..).unwrap_or_default();
    }
    console::say(format_args!("Connecting to {servers}"));
    let single = command::parse(rest).map_err(|refused| refusal(&refused))?;
    runtime::block_on(async {
        if single.is_none() {
            console::say("Welcome to ZooKeeper!\nJLine support is disabled");
        }
        let client = zookeeper::connect(servers).await.map_err(Failure::new)?;
        console::say("\nWATCHER::\n\nWatchedEvent state:SyncConnected type:None path:null");
        let done = match single {
            Some(command) => execute(&client, &command).await.map_err(Failure::new),
            None => interact(&client, servers).await,
        };
        client.close().await;
        done
    })
}

fn refusal(refused: &Refused) -> Failure {
    match refused {
        Refused::Unknown => {
            console::complain(help());
            Failure::silent(UNKNOWN_COMMAND)
        }
        Refused::Usage(usage) => Failure::new(usage),
    }
}

fn help() -> String {
    let mut text = "ZooKeeper -server host:port [-zk-tls-config-file <file>] cmd args".to_owned();
    for (_, usage) in USAGES {
        text.push_str("\n\t");
        text.push_str(usage);
    }
    text
}

/// Runs the commands of standard input; the last failure is the tool's.
async fn interact(client: &Client, servers: &str) -> Outcome {
    let is_prompting = io::stdin().is_terminal() && io::stdout().is_terminal();
    let mut last = Ok(());
    let mut number = 0;
    loop {
        if is_prompting {
            console::print(format_args!("[zk: {servers}(CONNECTED) {number}] "));
        }
        let Some(line) = next_line().await else {
            return last;
        };
        number += 1;
        let failure = match command::parse(&command::words(&line)) {
            Ok(None) => continue,
            Ok(Some(Command::Quit)) => return last,
            Ok(Some(command)) => execute(client, &command).await.err().map(Failure::new),
            Err(refused) => Some(refusal(&refused)),
        };
        last = match failure {
            Some(failure) => {
                failure.tell();
                Err(failure.told_already())
            }
            None => Ok(()),
        };
    }
}

/// The session is kept alive while a line is waited for.
async fn next_line() -> Option<String> {
    let read = common::task::spawn_blocking("standard input", || {
        let mut line = String::new();
        let read = io::stdin().lock().read_line(&mut line);
        read.is_ok_and(|count| count > 0).then_some(line)
    });
    read.await.ok().flatten()
}

async fn execute(client: &Client, command: &Command) -> Result<(), String> {
    let path = match command {
        Command::Help => {
            console::say(help());
            return Ok(());
        }
        Command::Quit => return Ok(()),
        Command::Ls { path, .. }
        | Command::Get { path, .. }
        | Command::Stat { path }
        | Command::Create { path, .. }
        | Command::Delete { path, .. }
        | Command::DeleteAll { path }
        | Command::Set { path, .. } => path,
    };
    if let Err(error) = common::zk::path::validate(path) {
        return Err(format!("Path must be valid: {path}: {error}"));
    }
    change_or_show(client, command)
        .await
        .map_err(|error| describe(&error, path))
}

async fn change_or_show(client: &Client, command: &Command) -> Result<(), Error> {
    match command {
        Command::Ls {
            path,
            stat,
            recursive,
        } => {
            if *recursive {
                for node in subtree(client, path).await? {
                    console::say(node);
                }
                return Ok(());
            }
            let (mut children, found) = client.get_children(path, None).await?;
            children.sort();
            console::say(format_args!("[{}]", children.join(", ")));
            show_if(*stat, &found);
        }
        Command::Get { path, stat } => {
            let (data, found) = client.get_data(path, None).await?;
            console::say(String::from_utf8_lossy(&data));
            show_if(*stat, &found);
        }
        Command::Stat { path } => {
            let found = client.exists(path, None).await?;
            show_if(true, &found.ok_or(Error::Server(ErrorCode::NoNode))?);
        }
        Command::Create {
            path,
            data,
            ephemeral,
            sequential,
            container,
        } => {
            let mode = match (ephemeral, sequential, container) {
                (_, _, true) => CreateMode::Container,
                (false, false, _) => CreateMode::Persistent,
                (true, false, _) => CreateMode::Ephemeral,
                (false, true, _) => CreateMode::PersistentSequential,
                (true, true, _) => CreateMode::EphemeralSequential,
            };
            let data = data.clone().map(Bytes::from);
            let created = client.create(path, data, mode).await?;
            console::complain(format_args!("Created {created}"));
        }
        Command::Delete { path, version } => client.delete(path, *version).await?,
        Command::DeleteAll { path } => {
            for node in subtree(client, path).await?.iter().rev() {
                client.delete(node, -1).await?;
            }
        }
        Command::Set {
            path,
            data,
            stat,
            version,
        } => {
            let found = client
                .set_data(path, Bytes::from(data.clone()), *version)
                .await?;
            show_if(*stat, &found);
        }
        Command::Help | Command::Quit => {}
    }
    Ok(())
}

/// The node and all below it, parents first.
async fn subtree(client: &Client, root: &str) -> Result<Vec<String>, Error> {
    let mut nodes = Vec::new();
    let mut ahead = vec![root.to_owned()];
    while let Some(node) = ahead.pop() {
        let (mut children, _) = client.get_children(&node, None).await?;
        children.sort();
        ahead.extend(
            children
                .iter()
                .rev()
                .map(|child| common::zk::path::join(&node, child)),
        );
        nodes.push(node);
    }
    Ok(nodes)
}

fn show_if(wanted: bool, stat: &Stat) {
    if wanted {
        console::say(stat_lines(stat));
    }
}

fn stat_lines(stat: &Stat) -> String {
    format!(
        "cZxid = 0x{:x}\nctime = {}\nmZxid = 0x{:x}\nmtime = {}\npZxid = 0x{:x}\ncversion = {}\ndataVersion = {}\naclVersion = {}\nephemeralOwner = 0x{:x}\ndataLength = {}\nnumChildren = {}",
        stat.czxid,
        console::date(stat.ctime),
        stat.mzxid,
        console::date(stat.mtime),
        stat.pzxid,
        stat.cversion,
        stat.version,
        stat.aversion,
        stat.ephemeral_owner,
        stat.data_length,
        stat.num_children
    )
}

fn describe(error: &Error, path: &str) -> String {
    match error {
        Error::Server(ErrorCode::NoNode) => format!("Node does not exist: {path}"),
        Error::Server(ErrorCode::NodeExists) => format!("Node already exists: {path}"),
        Error::Server(ErrorCode::NotEmpty) => format!("Node not empty: {path}"),
        Error::Server(ErrorCode::NoAuth) => format!("Insufficient permission : {path}"),
        Error::Server(ErrorCode::BadVersion) => format!("version No is not valid : {path}"),
        Error::Server(ErrorCode::NoChildrenForEphemerals) => {
            format!("Ephemerals cannot have children: {path}")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_as_zkcli_prints_it() {
        let stat = Stat {
            czxid: 0x19,
            ctime: 1_795_264_006_667,
            mzxid: 0x1a,
            mtime: 0,
            version: 1,
            ephemeral_owner: 0x0100_000f_0a7e_0000,
            data_length: 188,
            ..Stat::default()
        };
        let text = stat_lines(&stat);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "cZxid = 0x19");
        assert_eq!(lines[1], "ctime = Sat Nov 21 12:26:46 UTC 2026");
        assert_eq!(lines[3], "mtime = Thu Jan 01 00:00:00 UTC 1970");
        assert_eq!(lines[6], "dataVersion = 1");
        assert_eq!(
            lines[8..],
            [
                "ephemeralOwner = 0x100000f0a7e0000",
                "dataLength = 188",
                "numChildren = 0"
            ]
        );
    }
}
