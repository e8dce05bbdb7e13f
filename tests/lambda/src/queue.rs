//! A standard queue of SQS's with its dead letters: what is received, when, and how often. Pure: the
//! time is an argument.

use std::time::Duration;

use tokio::time::Instant;

/// A queue.
#[derive(Debug)]
pub struct Queue {
    visibility: Duration,
    /// After so many receipts without deletion a message goes to the dead letters.
    max_receives: u32,
    messages: Vec<Message>,
    dead: Vec<Message>,
    sent: u64,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its id.
    pub id: String,
    /// What was sent.
    pub body: String,
    /// How often it was received.
    pub receives: u32,
    visible_at: Instant,
}

impl Queue {
    /// An empty one: what is received is hidden for `visibility`, at most `max_receives` times.
    pub const fn new(visibility: Duration, max_receives: u32) -> Self {
        Self { visibility, max_receives, messages: Vec::new(), dead: Vec::new(), sent: 0 }
    }

    /// Sends a message; gives its id.
    pub fn send(&mut self, body: &str, now: Instant) -> String {
        self.sent += 1;
        let id = format!("message-{}", self.sent);
        let message =
            Message { id: id.clone(), body: body.to_owned(), receives: 0, visible_at: now };
        self.messages.push(message);
        id
    }

    /// Receives up to `most` messages that can be seen. What was received too often becomes a dead
    /// letter now, which is when SQS finds out.
    pub fn receive(&mut self, most: usize, now: Instant) -> Vec<Message> {
        let worn = |message: &mut Message| {
            message.visible_at <= now && message.receives >= self.max_receives
        };
        self.dead.extend(self.messages.extract_if(.., worn));
        let visible = self.messages.iter_mut().filter(|message| message.visible_at <= now);
        let received = visible.take(most).map(|message| {
            message.receives += 1;
            message.visible_at = now + self.visibility;
            message.clone()
        });
        received.collect()
    }

    /// Deletes a message.
    pub fn delete(&mut self, id: &str) {
        self.messages.retain(|message| message.id != id);
    }

    /// When the next message can be seen, if there is any.
    pub fn next_at(&self) -> Option<Instant> {
        self.messages.iter().map(|message| message.visible_at).min()
    }

    /// The messages that are neither deleted nor dead.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// The dead letters.
    pub fn dead(&self) -> &[Message] {
        &self.dead
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_deleted_comes_again_until_it_is_dead() {
        let (mut queue, start) = (Queue::new(Duration::from_secs(30), 2), Instant::now());
        let id = queue.send("a", start);
        let at = |seconds| start + Duration::from_secs(seconds);
        let receives = |queue: &mut Queue, seconds| {
            queue
                .receive(10, at(seconds))
                .iter()
                .map(|message| message.receives)
                .collect::<Vec<_>>()
        };
        assert_eq!(receives(&mut queue, 0), [1]);
        assert_eq!(receives(&mut queue, 29), [0; 0]);
        assert_eq!(queue.next_at(), Some(at(30)));
        assert_eq!(receives(&mut queue, 30), [2]);
        assert_eq!(receives(&mut queue, 60), [0; 0]);
        assert_eq!((queue.dead()[0].id.as_str(), queue.messages().len()), (id.as_str(), 0));
    }

    #[test]
    fn what_is_deleted_is_gone() {
        let (mut queue, now) = (Queue::new(Duration::ZERO, 2), Instant::now());
        let (first, second) = (queue.send("a", now), queue.send("b", now));
        assert_eq!(queue.receive(1, now)[0].id, first);
        queue.delete(&first);
        assert_eq!(queue.receive(10, now)[0].id, second);
    }
}
