use std::time::Duration;

use super::*;

fn rooms(total: usize, plugins: &[&str]) -> (Arc<Rooms>, Vec<Room>) {
    let rooms = Arc::<Rooms>::default();
    let names: Vec<Arc<str>> = plugins.iter().map(|name| Arc::from(*name)).collect();
    rooms.divide(total, names.iter());
    let of = names.iter().map(|name| rooms.room(name)).collect();
    (rooms, of)
}

#[test]
fn a_plugin_has_its_share_whatever_another_takes() {
    let (_rooms, of) = rooms(800, &["a", "b"]);
    let (mut greedy, mut modest) = (Lease::new(of[0].clone()), Lease::new(of[1].clone()));
    assert_eq!(of[0].most(), (800, 600), "a share of 200, and what is lent");
    assert!(!greedy.cover(601));
    assert!(greedy.cover(600));
    assert!(!modest.cover(201) && modest.cover(200));
    greedy.shrink(599);
    assert!(modest.cover(201));
    drop(greedy);
    assert!(modest.cover(600) && !modest.cover(601));
}

#[test]
fn a_new_division_holds_for_what_is_in_use() {
    let (rooms, of) = rooms(800, &["a", "b"]);
    let (mut before, mut other) = (Lease::new(of[0].clone()), Lease::new(of[1].clone()));
    assert!(before.cover(600));
    let names = [Arc::from("b")];
    rooms.divide(800, names.iter());
    assert!(other.cover(200) && !other.cover(401), "400 are b's");
    assert!(other.cover(400));
    drop((before, other));
    rooms.divide(800, names.iter());
    assert_eq!(rooms.ledger.lock().accounts.len(), 1);
    assert_eq!(rooms.ledger.lock().accounts[&names[0]].used, 0);
}

struct Idle(Mutex<Vec<Lease>>);

impl Spare for Idle {
    fn drop_one(&self) -> bool {
        let dropped = self.0.lock().pop();
        dropped.is_some()
    }
}

#[test]
fn idle_instances_make_way_but_none_within_the_share_of_another() {
    let (_rooms, of) = rooms(800, &["a", "b", "c"]);
    let idle = |room: &Room, bytes: &[usize]| {
        let lease = |bytes: &usize| {
            let mut lease = Lease::new(room.clone());
            assert!(lease.cover(*bytes));
            lease
        };
        let leases = bytes.iter().map(lease).collect();
        let idle: Arc<dyn Spare> = Arc::new(Idle(Mutex::new(leases)));
        room.may_drop(Arc::downgrade(&idle));
        idle
    };
    let over = idle(&of[0], &[133, 200, 200]);
    let within = idle(&of[1], &[100]);
    let mut busy = Lease::new(of[2].clone());
    assert!(busy.cover(400));
    assert!(over.drop_one(), "one is left beside the share");
    assert!(within.drop_one(), "what is within a share is kept");
}

#[tokio::test]
async fn what_is_guaranteed_is_kept_whoever_waits() {
    let (_rooms, of) = rooms(800, &["a", "b"]);
    let (mut greedy, mut modest) = (Lease::new(of[0].clone()), Lease::new(of[1].clone()));
    assert!(greedy.cover(600) && modest.cover(100));
    let (room, far) = (of[0].clone(), Instant::now() + Duration::from_secs(20));
    let waits = tokio::spawn(async move { Lease::new(room).cover_by(200, far).await });
    while of[0].rooms.waiting.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    assert!(of[0].is_short() && !of[1].is_short());
    drop(greedy);
    assert!(waits.await.unwrap());
}

#[tokio::test]
async fn a_call_waits_for_room_and_no_longer_than_it_may() {
    let (_rooms, of) = rooms(800, &["a"]);
    let mut first = Lease::new(of[0].clone());
    assert!(first.cover(700));
    let soon = Instant::now() + Duration::from_millis(20);
    let mut late = Lease::new(of[0].clone());
    assert!(!late.cover_by(200, soon).await && Instant::now() >= soon);
    assert!(!of[0].is_short());
    let room = of[0].clone();
    let far = Instant::now() + Duration::from_secs(20);
    let waits = tokio::spawn(async move {
        let mut lease = Lease::new(room);
        (lease.cover_by(200, far).await, lease)
    });
    while !of[0].is_short() {
        tokio::task::yield_now().await;
    }
    drop(first);
    assert!(waits.await.unwrap().0);
}

/// A call that waits for so much, and has it until it is told to end.
fn waiting(room: &Room, bytes: usize) -> tokio::task::JoinHandle<Lease> {
    let (room, far) = (room.clone(), Instant::now() + Duration::from_secs(20));
    tokio::spawn(async move {
        let mut lease = Lease::new(room);
        assert!(lease.cover_by(bytes, far).await);
        lease
    })
}

async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_small_call_that_comes_later_does_not_pass_a_large_one_of_its_plugin() {
    let (_rooms, of) = rooms(800, &["a"]);
    let mut first = Lease::new(of[0].clone());
    assert!(first.cover(500));
    let large = waiting(&of[0], 500);
    settle().await;
    let small = waiting(&of[0], 200);
    settle().await;
    assert!(!large.is_finished() && !small.is_finished());
    drop(first);
    let (large, small) = (large.await.unwrap(), small.await.unwrap());
    assert_eq!((large.bytes, small.bytes), (500, 200));
}

#[tokio::test]
async fn what_is_lent_goes_to_the_plugin_that_waited_first() {
    let (_rooms, of) = rooms(800, &["a", "b"]);
    let mut first = Lease::new(of[0].clone());
    assert!(first.cover(500));
    // Of 400 that are lent, 300 are in use.
    let large = waiting(&of[1], 500);
    settle().await;
    assert!(!large.is_finished());
    let mut more = Lease::new(of[0].clone());
    let soon = Instant::now() + Duration::from_millis(20);
    assert!(!more.cover_by(50, soon).await, "50 of it would be there");
    first.shrink(150);
    assert!(more.cover_by(50, soon).await, "what is its own always is");
    drop(first);
    assert_eq!(large.await.unwrap().bytes, 500);
}
