//! `kafka console-consumer`: prints the records of topics as they come.
//!
//! Flow: `arguments` → a consumer of the client → `formatter` → standard
//! output. An interrupt, a full count or a timeout ends it: what was printed is
//! committed, the group is left, and the count is told.

mod arguments;
mod formatter;

use std::io::Write as _;
use std::time::Duration;

use crate::client::Client;
use crate::client::consumer::{Consumer, ConsumerRecord};
use crate::console;
use crate::failure::{Failure, Outcome};
use crate::runtime;
use arguments::Arguments;

const LOGGER: &str = "org.apache.kafka.tools.consumer.ConsoleConsumer";
/// The exit code of a shell's child that an interrupt ended.
const INTERRUPTED: u8 = 130;
/// How long leaving the group may take.
const CLOSE_LIMIT: Duration = Duration::from_secs(30);

pub(crate) fn run(words: &[String]) -> Outcome {
    let Some(arguments) = Arguments::parse(words)? else {
        return Ok(());
    };
    let (config, settings) = arguments.client_settings().map_err(|error| {
        console::error("Unknown error when running consumer: ", LOGGER);
        Failure::new(format!(
            "org.apache.kafka.common.config.ConfigException: {error}"
        ))
    })?;
    runtime::block_on(async {
        let client = Client::new(config);
        let consumer = Consumer::new(client, settings, arguments.subscription.clone());
        consume(&arguments, consumer).await
    })
}

async fn consume(arguments: &Arguments, mut consumer: Consumer) -> Outcome {
    let mut printer = Printer::new(arguments);
    let ended = tokio::select! {
        biased;
        () = stopped() => End::Interrupted,
        end = print_all(&mut printer, &mut consumer) => end,
    };
    if let Ok(Err(error)) = tokio::time::timeout(CLOSE_LIMIT, consumer.close()).await {
        console::warn(
            format_args!("The consumer could not be closed: {error}"),
            LOGGER,
        );
    }
    console::complain(format_args!(
        "Processed a total of {} messages",
        printer.count
    ));
    if ended == End::Interrupted && arguments.tells_events {
        console::say("shutdown_complete");
    }
    match ended {
        End::Normal => Ok(()),
        End::Failed => Err(Failure::told()),
        End::Interrupted => Err(Failure::silent(INTERRUPTED)),
    }
}

/// Why printing ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Normal,
    Failed,
    Interrupted,
}

/// Ends with the first interrupt or request to terminate.
async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        }
        Err(_) => {
            // Without a handler the signal ends the process by itself.
            std::future::pending::<()>().await;
        }
    }
}

struct Printer<'a> {
    arguments: &'a Arguments,
    count: u64,
}

impl<'a> Printer<'a> {
    fn new(arguments: &'a Arguments) -> Self {
        Self {
            arguments,
            count: 0,
        }
    }

    fn is_full(&self) -> bool {
        self.arguments
            .messages_max
            .is_some_and(|most| self.count >= most)
    }

    /// Prints a record into `out`; an error ends the tool.
    fn print(&mut self, out: &mut Vec<u8>, record: &ConsumerRecord) -> Result<(), End> {
        self.count += 1;
        let Err(error) = self.arguments.formatter.write(out, record) else {
            return Ok(());
        };
        let (what, end) = match self.arguments.skips_errors {
            true => ("Error processing message, skipping this message: ", Ok(())),
            false => ("Unknown error when running consumer: ", Err(End::Failed)),
        };
        console::error(what, LOGGER);
        console::complain(format_args!(
            "org.apache.kafka.common.errors.SerializationException: {error}"
        ));
        end
    }
}

async fn print_all(printer: &mut Printer<'_>, consumer: &mut Consumer) -> End {
    let mut last_at = consumer.client().now();
    while !printer.is_full() {
        let records = match consumer.poll().await {
            Ok(records) => records,
            Err(error) => {
                tell_end(&error.to_string());
                return End::Normal;
            }
        };
        let now = consumer.client().now();
        if records.is_empty() {
            let waited = now.saturating_sub(last_at);
            if printer
                .arguments
                .timeout
                .is_some_and(|limit| waited > limit)
            {
                console::error(
                    "Error processing message, terminating consumer process: ",
                    LOGGER,
                );
                console::complain("org.apache.kafka.common.errors.TimeoutException");
                return End::Normal;
            }
            consumer.delivered_all();
            continue;
        }
        if let Some(end) = print_records(printer, consumer, &records) {
            return end;
        }
        last_at = consumer.client().now();
    }
    End::Normal
}

/// Prints as many as are wanted, in one write.
fn print_records(
    printer: &mut Printer<'_>,
    consumer: &mut Consumer,
    records: &[ConsumerRecord],
) -> Option<End> {
    let mut out = Vec::new();
    let mut used = 0;
    let mut ended = None;
    for record in records {
        if printer.is_full() {
            break;
        }
        if let Err(end) = printer.print(&mut out, record) {
            ended = Some(end);
            break;
        }
        used += 1;
    }
    let mut stdout = std::io::stdout().lock();
    if stdout
        .write_all(&out)
        .and_then(|()| stdout.flush())
        .is_err()
    {
        console::complain("Unable to write to standard out, closing consumer.");
        return Some(End::Normal);
    }
    for record in &records[..used] {
        consumer.delivered(record);
    }
    if used == records.len() {
        consumer.delivered_all();
    }
    ended
}

fn tell_end(error: &str) {
    console::error(
        "Error processing message, terminating consumer process: ",
        LOGGER,
    );
    console::complain(error);
}
