//! RunPod's queue, as the simulator has it, whose rules are checked at the end.

use handler_harness::Worker;
use runpod_simulator::{Options, Simulator, Templates, ledger::State};
use serde_json::Value;

use crate::home::{Fate, Fates, Home, Revoking, Stopped, Ticket};

/// An endpoint with one worker.
pub(crate) struct Runpod {
    platform: Simulator,
}

fn state(fate: Fate) -> Option<State> {
    match fate {
        Fate::Completed => Some(State::Completed),
        Fate::Failed => Some(State::Failed),
        Fate::Cancelled => Some(State::Cancelled),
        Fate::Open => Some(State::InProgress),
        _ => None,
    }
}

impl Home for Runpod {
    const FATES: Fates = Fates {
        completed: Fate::Completed,
        failed: Fate::Failed,
        stale: Fate::Failed,
        unheard: Fate::Completed,
        poisonous: Fate::Failed,
        refused: Fate::Failed,
        reports_refusals: true,
        oversized: Fate::Failed,
        stopped: Fate::Failed,
        reports_stop: Stopped::Told,
        crashed: Fate::Open,
    };

    async fn open() -> Self {
        Self { platform: Simulator::start(Options::default()).await.expect("a free port") }
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        self.platform.environment("worker-1", Templates::WithQuery)
    }

    async fn ready(&mut self, _: &Worker) {
        self.platform.until("asking", |record| record.is_asking()).await;
    }

    /// What is no JSON cannot be handed in; as a text it gets as far as the worker.
    async fn hand_in(&self, body: &[u8]) -> Ticket {
        let text = || Value::String(String::from_utf8_lossy(body).into_owned());
        let input = match serde_json::from_slice::<Value>(body) {
            Ok(mut message) => message.get_mut("input").map_or_else(text, Value::take),
            Err(_) => text(),
        };
        Ticket { id: Some(self.platform.run(input)), body: body.to_vec(), refusal: None }
    }

    async fn again(&self, ticket: &Ticket) -> Ticket {
        let id = ticket.id.as_ref().expect("it was taken");
        let twice = |record: &runpod_simulator::Record| {
            record.ledger.get(id).is_some_and(|job| job.deliveries >= 2)
        };
        self.platform.redeliver(id);
        self.platform.until("handed out twice", twice).await;
        ticket.clone()
    }

    async fn until(&self, ticket: &Ticket, fate: Fate) {
        let (id, state) = (ticket.id.as_ref().expect("it was taken"), state(fate));
        let state = state.expect("a fate that this platform knows");
        self.platform.until(&format!("{id} {fate:?}"), |record| record.is(id, state)).await;
    }

    /// The platform has heard no heartbeat for too long.
    async fn recover(&self, ticket: &Ticket) -> Ticket {
        self.platform.redeliver(ticket.id.as_ref().expect("it was taken"));
        ticket.clone()
    }

    fn check(&self) {
        self.platform.check();
    }
}

impl Revoking for Runpod {
    async fn take_back(&self, ticket: &Ticket) {
        self.platform.cancel(ticket.id.as_ref().expect("it was taken"));
    }
}
