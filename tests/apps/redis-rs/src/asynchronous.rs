//! The asynchronous half, with tokio: one connection shared by tasks, transactions, subscriptions, caching, pushes.
use std::time::Duration;

use futures_util::StreamExt;
use redis::caching::CacheConfig;
use redis::{AsyncCommands, AsyncConnectionConfig, Client, Script, Value};
use tokio::time::{sleep, timeout};

use crate::{Outcome, equal, is_true};

/// All that works with both protocols.
pub async fn all(client: &Client) -> Outcome {
    shared_connection(client).await?;
    transactions(client).await?;
    subscriptions(client).await
}

async fn shared_connection(client: &Client) -> Outcome {
    let connection = client.get_multiplexed_async_connection().await?;
    let tasks: Vec<_> = (0..200_i64)
        .map(|number| {
            let mut c = connection.clone();
            async move { c.incr::<_, _, i64>("n", number).await }
        })
        .collect();
    let answers = futures_util::future::join_all(tasks).await;
    is_true("200 commands over one connection", answers.iter().all(Result::is_ok));
    let mut c = connection.clone();
    equal("their sum", c.get::<_, i64>("n").await?, 199 * 100);
    let answers: (i64, i64) =
        redis::pipe().atomic().incr("p", 1).incr("p", 1).query_async(&mut c).await?;
    equal("MULTI/EXEC", answers, (1, 2));
    let script = Script::new("return {KEYS[1], ARGV[1]}");
    let answer: (String, i64) = script.key("k").arg(7).invoke_async(&mut c).await?;
    equal("a script", answer, ("k".to_owned(), 7));
    let mut manager = client.get_connection_manager().await?;
    let id: i64 = redis::cmd("CLIENT").arg("ID").query_async(&mut manager).await?;
    let _: i64 = redis::cmd("CLIENT").arg("KILL").arg("ID").arg(id).query_async(&mut c).await?;
    let mut is_back = false;
    for _ in 0..100 {
        is_back = manager.get::<_, i64>("n").await.is_ok();
        if is_back {
            break;
        }
        sleep(Duration::from_millis(20)).await;
    }
    is_true("a killed connection comes back", is_back);
    Ok(())
}

async fn transactions(client: &Client) -> Outcome {
    let tasks: Vec<_> = (0..4)
        .map(|_| async move {
            let connection = client.get_multiplexed_async_connection().await?;
            for _ in 0..10 {
                let _: Value = redis::aio::transaction_async(
                    connection.clone(),
                    &["sum"],
                    |mut c, mut pipe| async move {
                        let now: Option<i64> = c.get("sum").await?;
                        pipe.set("sum", now.unwrap_or(0) + 1).query_async(&mut c).await
                    },
                )
                .await?;
            }
            redis::RedisResult::Ok(())
        })
        .collect();
    let outcomes = futures_util::future::join_all(tasks).await;
    is_true(&format!("four tasks end well: {outcomes:?}"), outcomes.iter().all(Result::is_ok));
    let mut c = client.get_multiplexed_async_connection().await?;
    equal("and lose no count", c.get::<_, i64>("sum").await?, 40);
    Ok(())
}

async fn subscriptions(client: &Client) -> Outcome {
    let mut publisher = client.get_multiplexed_async_connection().await?;
    let mut pubsub = client.get_async_pubsub().await?;
    pubsub.subscribe("rs:async").await?;
    pubsub.psubscribe("rs:as*").await?;
    let (mut sink, mut stream) = pubsub.split();
    equal("channel and pattern", publisher.publish::<_, _, i64>("rs:async", "twice").await?, 2);
    let mut heard = Vec::new();
    for _ in 0..2 {
        let message =
            timeout(Duration::from_secs(5), stream.next()).await?.ok_or("the stream ended")?;
        heard.push(message.get_payload::<String>()?);
    }
    equal("the same message", heard, ["twice", "twice"]);
    sink.unsubscribe("rs:async").await?;
    sink.punsubscribe("rs:as*").await?;
    equal("unsubscribed", publisher.publish::<_, _, i64>("rs:async", "x").await?, 0);
    let monitor = client.get_async_monitor().await?;
    let mut lines = monitor.into_on_message::<String>();
    publisher.set::<_, _, ()>("seen", "by all").await?;
    let is_seen = async {
        while let Some(line) = lines.next().await {
            if line.contains("\"seen\" \"by all\"") {
                return true;
            }
        }
        false
    };
    is_true("MONITOR", timeout(Duration::from_secs(5), is_seen).await?);
    Ok(())
}

/// Client-side caching, which needs RESP3.
pub async fn caching(client: &Client) -> Outcome {
    let config = AsyncConnectionConfig::new().set_cache_config(CacheConfig::default());
    let mut cached = client.get_multiplexed_async_connection_with_config(&config).await?;
    let mut other = client.get_multiplexed_async_connection().await?;
    other.set::<_, _, ()>("cc", 1).await?;
    for _ in 0..10 {
        equal("a kept answer", cached.get::<_, i64>("cc").await?, 1);
    }
    let statistics = cached.get_cache_statistics().ok_or("no cache")?;
    equal("nine of ten from memory", (statistics.hit, statistics.miss), (9, 1));
    other.set::<_, _, ()>("cc", 2).await?;
    let mut now = 1;
    for _ in 0..100 {
        now = cached.get::<_, i64>("cc").await?;
        if now == 2 {
            break;
        }
        sleep(Duration::from_millis(10)).await;
    }
    equal("forgotten when changed", now, 2);
    Ok(())
}

/// Messages beside replies on one connection, which needs RESP3.
pub async fn pushes(client: &Client) -> Outcome {
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let config = AsyncConnectionConfig::new().set_push_sender(sender);
    let mut c = client.get_multiplexed_async_connection_with_config(&config).await?;
    c.subscribe("rs:push").await?;
    equal("commands while subscribed", c.get::<_, i64>("sum").await?, 40);
    equal("PUBLISH to oneself", c.publish::<_, _, i64>("rs:push", "me").await?, 1);
    let mut kinds = Vec::new();
    for _ in 0..2 {
        kinds.push(timeout(Duration::from_secs(5), receiver.recv()).await?.ok_or("no push")?.kind);
    }
    equal("pushes", kinds, [redis::PushKind::Subscribe, redis::PushKind::Message]);
    Ok(())
}
