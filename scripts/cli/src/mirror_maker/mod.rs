//! `kafka mirror-maker`: copies topics from one cluster to another, as the MirrorMaker
//! that is a consumer and a producer in one process.
//!
//! Flow: every stream is a member of the source's group (`stream`) → polls → sends →
//! waits for all acknowledgements → only then counts the records as delivered, which
//! the member commits now and then, and before it gives up partitions.
//!
//! **Invariant:** no offset is committed before every record behind it is stored in
//! the target, or was left out on request. A crash copies again, and loses nothing.
//! **Invariant:** the records of a partition are sent in their order.

mod arguments;
mod stream;

use futures::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::client::Client;
use crate::client::consumer::{Consumer, Subscription};
use crate::failure::{Failure, Outcome};
use crate::{console, runtime, text};
use arguments::Arguments;
use stream::Stream;

const PURPOSE: &str = "This tool helps to continuously copy data between two Kafka clusters.";
const LOGGER: &str = "kafka.tools.MirrorMaker$";
/// The exit code of a Java program that ends with -1.
const ABNORMAL: u8 = 255;

pub(crate) fn run(words: &[String]) -> Outcome {
    console::warn(
        "This tool is deprecated and may be removed in a future major release.",
        LOGGER,
    );
    let parser = arguments::parser();
    let options = parser.parse(words).map_err(|error| {
        console::error("Exception when starting mirror maker.", LOGGER);
        Failure::new(error)
    })?;
    if options.is_empty() || options.has("help") {
        return Err(Failure::usage(&parser, PURPOSE));
    }
    if options.has("version") {
        console::say(text::version());
        return Ok(());
    }
    let arguments = Arguments::of(&options, &parser)?;
    runtime::block_on(mirror(&arguments))
}

/// Runs the streams until one of them or a signal ends them all.
async fn mirror(arguments: &Arguments) -> Outcome {
    let ending = CancellationToken::new();
    let mut streams = Vec::new();
    for number in 0..arguments.streams {
        let client = Client::new(arguments.source_of(number)?);
        let subscription = Subscription::Pattern(arguments.include.clone());
        let consumer = Consumer::new(client, arguments.reading.clone(), subscription);
        streams.push(Stream::new(number, consumer, arguments));
    }
    let running = streams.into_iter().map(|stream| {
        let ending = ending.clone();
        async move {
            let ended = stream.run(&ending).await;
            // The others end in order, whatever ended this one.
            ending.cancel();
            ended
        }
    });
    let running = join_all(running);
    tokio::pin!(running);
    let code = tokio::select! {
        ended = &mut running => return outcome(&ended),
        code = runtime::signalled() => code,
    };
    ending.cancel();
    outcome(&running.await)?;
    Err(Failure::silent(code))
}

fn outcome(ended: &[Result<(), stream::Broken>]) -> Outcome {
    match ended.iter().all(Result::is_ok) {
        true => Ok(()),
        false => Err(Failure::silent(ABNORMAL)),
    }
}
