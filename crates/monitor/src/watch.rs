//! The loop: one thread, level-triggered, woken only when there is something to do.

use std::time::{Duration, Instant};

use bulkhead_sys::event::Ready;

use crate::container::{Container, Phase};
use crate::failure::tolerate;
use crate::peer::Gone;
use crate::token::Source;
use crate::{control, ending, output, probing};

/// How long after the notice the kernel has surely counted its kill.
const OOM_SETTLES: Duration = Duration::from_millis(20);

const SIGTERM: i32 = 15;

/// Keeps watch until the container is over and everyone was told.
pub(crate) fn watch(mut container: Container) {
    let mut ready = [Ready::default(); 16];
    loop {
        container.watch_all();
        let now = Instant::now();
        let timeout = container.deadline().map(|deadline| deadline.saturating_duration_since(now));
        let count = match container.poller.wait(&mut ready, timeout) {
            Ok(count) => count,
            // Cannot happen with a live epoll descriptor; without it nothing can be watched, and an unwatched
            // container must not run: it dies with us.
            Err(_) => return,
        };
        for event in ready.iter().take(count) {
            if let Some(source) = Source::from_token(event.token) {
                handle(&mut container, source, *event);
            }
        }
        act_on_time(&mut container, Instant::now());
        if container.exited.is_some() {
            ending::let_leave(&mut container);
            let done = match container.phase {
                Phase::Running => false,
                Phase::Resting(until) => Instant::now() >= until,
                Phase::Over => container.peers.is_empty(),
            };
            if done {
                return ending::hand_back(container);
            }
        }
    }
}

fn handle(container: &mut Container, source: Source, event: Ready) {
    match source {
        Source::End => ending::end(container),
        Source::Listener => control::accept(container),
        Source::Signals => take_signals(container),
        Source::Output(stream) => {
            if event.writable {
                container.streams.flush_input();
            }
            if event.readable || event.hung_up {
                output::pump(container, stream);
            }
        }
        Source::Input => container.streams.flush_input(),
        Source::Oom => notice_oom(container),
        Source::Peer(slot) => serve(container, slot, event),
        Source::Exec(place) => control::collect_exec(container, place),
        Source::ExecTerminal(place) => {
            if let Some(Some(running)) = container.execs.get_mut(place) {
                running.drain();
            }
        }
        Source::Probe => probing::collect(container),
        Source::ProbeOutput => {
            if let Some(probe) = &mut container.probe {
                probe.read();
            }
        }
    }
}

fn serve(container: &mut Container, slot: usize, event: Ready) {
    if event.writable && container.peer(slot).is_some_and(|peer| peer.flush() == Err(Gone)) {
        return container.dismiss(slot);
    }
    if event.hung_up {
        let Some(peer) = container.peer(slot) else { return };
        peer.hung_up = true;
        // With unread packets it is kept, out of the poller, until there is room for them.
        if !event.readable && (peer.deaf || !container.streams.is_stuffed()) {
            return container.dismiss(slot);
        }
    }
    if event.readable {
        control::read(container, slot);
    }
}

/// `SIGTERM` (the host goes down) is a stop of the container; the others would only be an accident.
fn take_signals(container: &mut Container) {
    while let Ok(Some(signal)) = container.signals.take() {
        if signal == SIGTERM {
            container.stopping.for_good = true;
            let patience = Duration::from_secs(u64::from(container.rules.stop_timeout));
            // It may have ended already.
            tolerate(container.begin_stop(container.rules.stop_signal, Some(patience)));
            if let Phase::Resting(_) = container.phase {
                container.phase = Phase::Over;
            }
        }
    }
}

fn notice_oom(container: &mut Container) {
    if let Some(oom) = &mut container.oom {
        if !oom.v2 {
            // Takes the count of the eventfd back to zero.
            tolerate(rustix::io::read(&oom.fd, &mut [0u8; 8]));
        }
        oom.look = Some(Instant::now() + OOM_SETTLES);
    }
}

fn look_for_oom(container: &mut Container) {
    let group = container.cell.as_ref().and_then(|cell| cell.group());
    let (Some(oom), Some(group)) = (&mut container.oom, group) else { return };
    oom.look = None;
    let kills = group.hits().oom_kills;
    if kills <= oom.told {
        return;
    }
    oom.told = kills;
    container.events.tell("oom", &[]);
    // Version 2 does it by itself.
    if container.rules.oom_group && !oom.v2 {
        // What survives is killed again when the cell is demolished.
        tolerate(group.kill());
    }
}

fn act_on_time(container: &mut Container, now: Instant) {
    let is_due = |moment: Option<Instant>| moment.is_some_and(|moment| moment <= now);
    if is_due(container.stopping.deadline) {
        container.stopping.deadline = None;
        // It may have ended this very moment.
        tolerate(container.signal(9));
        tolerate(container.thaw());
    }
    if is_due(container.oom.as_ref().and_then(|oom| oom.look)) {
        look_for_oom(container);
    }
    if is_due(container.checks.as_ref().and_then(|checks| checks.due)) {
        probing::begin(container);
    }
    if is_due(container.probe.as_ref().and_then(|probe| probe.deadline)) {
        probing::expire(container);
    }
}
