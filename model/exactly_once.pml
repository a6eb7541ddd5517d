/* Exactly once: one reading, two workers, a journal, a wire, two nodes and a fork.
 *
 *   journal   durable; one step of it is atomic, as a commit is
 *   worker    may die between any two of its steps and then forgets all that it knew; it may also
 *             sleep there for as long as it likes. A lease may run out at any time, so there is
 *             none here: both workers may always work on the reading
 *   wire      what was sent may arrive any time later, more than once, or never
 *   nodes     TIP shows the chain as it is, LATE as it once was; any answer may come from either
 *   fork      takes back any blocks that are not final; what was in them may land again
 *   life      a transaction may land in blocks up to its last valid height + 1
 *   faults    happen while the chain is lower than CALM, and not from there on
 *
 * Shown of every run:
 *   paid <= 1           the chain never holds two payments of the reading
 *   chain_holds_it      what the journal calls final is on the chain
 *   reading_has_ended   a bounded time after the faults, the reading is paid for good
 *
 * Each mistake is switched on by -D and breaks the first of these:
 *   SEND_BEFORE_JOURNAL   the bytes leave before they are journalled (I2)
 *   LEASE_IS_SAFETY       who has the lease inserts without compare-and-set (I3)
 *   RESIGN_ON_SEND_ERROR  an error of the send is taken as "not sent", and another is signed (I4)
 *   VANISHED_IS_DEAD      what vanished with its fork is planned anew without proof (I4)
 *   CONFIRMED_HEIGHT      a height that is not final is taken for the proof (I4, step 2)
 *   HEIGHT_NOT_STRICT     the last valid height itself counts as past (I4, step 2)
 *   STATUS_BEFORE_HEIGHT  the status is asked first and the height second (I4, step 3)
 *   MIXED_NODES           one node's height with the status of another that lags (I4, step 3)
 *   ERROR_IS_ABSENCE      an error of the lookup is read as "not on chain" (I4, step 3)
 */

#define CALM 5             /* height from which on there are no faults */
#define LAST 12            /* height by which the reading must have ended */
#define LIFE 1             /* blocks from a blockhash to its last valid height */
#define CONFIRMED_DEPTH 1  /* blocks on top that make a block confirmed */
#define FINAL_DEPTH 2      /* blocks on top that make a block final */
#define FORKS 1
#ifndef SIGNATURES
#define SIGNATURES 2       /* at a time, the dead that somebody has still in hand among them */
#endif

#define TIP 0
#define LATE 1

mtype = { unknown, flying, confirmed, finalized, expired };  /* of a transaction */
mtype = { unasked, error, null, processed };                 /* and what a node may answer besides */

typedef Bank {
    byte tip;                     /* height of its newest block */
    byte final;                   /* height of its newest final block */
    byte landed[SIGNATURES + 1];  /* height at which a signature landed; 0: it did not */
};

Bank node[2];
byte forks = FORKS;
byte paid;
bool wire[SIGNATURES + 1];

/* The journal. */
mtype status[SIGNATURES + 1] = unknown;
byte last_valid[SIGNATURES + 1];
byte live;                        /* the one transaction that pays the reading (I3) */
bool ended;

byte mine[2];                     /* the signature that a worker has in hand */
bool rested[2];                   /* in calm: whose round for this block is over */

#define faults (node[TIP].tip < CALM)
#define OR_DIE :: atomic { faults -> goto forget }

#ifdef CONFIRMED_HEIGHT
#define SAFE_HEIGHT (node[n].tip - (node[n].tip -> CONFIRMED_DEPTH : 0))
#define MARGIN CONFIRMED_DEPTH
#else
#define SAFE_HEIGHT node[n].final
#define MARGIN FINAL_DEPTH
#endif

#ifdef HEIGHT_NOT_STRICT
#define PAST_LIFE (height >= last_valid[MINE])
#else
#define PAST_LIFE (height > last_valid[MINE])
#endif

#ifdef MIXED_NODES
#define HAS_ROOTED_IT true
#else
#define HAS_ROOTED_IT (node[n].tip >= height + MARGIN)
#endif

#ifdef ERROR_IS_ABSENCE
#define ABSENT (answer == null || answer == error)
#else
#define ABSENT (answer == null)
#endif

#ifdef LEASE_IS_SAFETY
#define MAY_JOURNAL true
#else
#define MAY_JOURNAL (live == 0 && !ended)
#endif

#define MINE mine[me]
#define may_begin (faults || (!rested[me] && (me == 0 || rested[0])))  /* in calm: in turn */
#define ON_A_NODE(s) (node[TIP].landed[s] || node[LATE].landed[s])
#define IS_DEAD(s) ((status[s] == expired || status[s] == unknown) && node[TIP].final > last_valid[s] && !ON_A_NODE(s))

/* ---- The chain ---- */

/* A block with any of what the wire holds and may still land; in calm, with all of that. */
inline make_block() {
    node[TIP].tip++;
    if
    :: node[TIP].tip - node[TIP].final > FINAL_DEPTH -> node[TIP].final++
    :: else
    fi;
    s = 1;
    do
    :: s > SIGNATURES -> break
    :: else ->
        if
        :: wire[s] && !node[TIP].landed[s] && node[TIP].tip <= last_valid[s] + 1 ->
            if
            :: node[TIP].landed[s] = node[TIP].tip; paid++
            :: faults
            fi
        :: node[TIP].landed[s] && node[TIP].landed[s] <= node[TIP].final ->
            node[TIP].landed[s] = 1      /* for good: at which height makes no difference */
        :: else
        fi;
        s++
    od;
    s = 0;
    assert(paid <= 1)
}

inline lose_blocks() {
    forks--;
    node[TIP].tip--;
    do
    :: node[TIP].tip > node[TIP].final -> node[TIP].tip--
    :: break
    od;
    s = 1;
    do
    :: s > SIGNATURES -> break
    :: else ->
        if
        :: node[TIP].landed[s] > node[TIP].tip -> node[TIP].landed[s] = 0; paid--
        :: else
        fi;
        s++
    od;
    s = 0
}

inline catch_up() {
    node[LATE].tip = node[TIP].tip;
    node[LATE].final = node[TIP].final;
    s = 1;
    do
    :: s > SIGNATURES -> break
    :: else -> node[LATE].landed[s] = node[TIP].landed[s]; s++
    od;
    s = 0
}

/* Frees the numbers of signatures that are truly dead, which keeps the model small: expired, past
   every block that could hold them, on no node, and in no worker's hand. */
inline forget_dead() {
    s = 1;
    do
    :: s > SIGNATURES -> break
    :: else ->
        if
        :: IS_DEAD(s) && mine[0] != s && mine[1] != s ->
            status[s] = unknown; wire[s] = false; last_valid[s] = 0
        :: else
        fi;
        s++
    od;
    s = 0
}

active proctype chain() {
    byte s;
    bool reading_has_ended;
    do
    :: atomic { faults -> make_block(); forget_dead() }
    :: atomic { faults && forks && node[TIP].tip > node[TIP].final -> lose_blocks() }
    :: atomic { faults -> catch_up(); forget_dead() }
    :: atomic { !faults && rested[0] && rested[1] && node[TIP].tip < LAST ->
                make_block(); catch_up(); forget_dead(); rested[0] = false; rested[1] = false;
                forks = 0 }
    :: atomic { node[TIP].tip == LAST && rested[0] && rested[1] ->
                reading_has_ended = ended;
                assert(reading_has_ended);
                break }
    od
}

/* ---- A worker ---- */

inline ask_any_node() { if :: n = TIP :: n = LATE fi }

/* A signature that is not in use; without one left, the round ends. */
inline take_number() {
    MINE = 1;
    do
    :: MINE > SIGNATURES -> goto rest
    :: MINE <= SIGNATURES && status[MINE] == unknown && !last_valid[MINE] -> break
    :: else -> MINE++
    od;
    last_valid[MINE] = valid
}

/* The bytes go out and perhaps arrive. Whatever the reply, nothing is learned of it. */
inline send() {
    if
    :: wire[MINE] = true
    :: faults
    fi
}

inline ask_status() {
    if
    :: node[n].landed[MINE] == 0 -> answer = null
    :: node[n].landed[MINE] != 0 ->
        if
        :: node[n].landed[MINE] <= node[n].final -> answer = finalized
        :: else ->
            if
            :: node[n].landed[MINE] + CONFIRMED_DEPTH <= node[n].tip -> answer = confirmed
            :: else -> answer = processed
            fi
        fi
    :: faults -> answer = error
    fi
}

/* Forgets an answer that changes nothing in the journal as it was read. */
inline is_news() {
    if
    :: answer == finalized
    :: answer == confirmed && status[MINE] == flying
    :: answer == null && status[MINE] == confirmed
    :: else -> answer = unasked
    fi
}

inline settle() {
    if
    :: answer == finalized && (status[MINE] == flying || status[MINE] == confirmed) ->
        status[MINE] = finalized;
        ended = true;
        chain_holds_it = node[TIP].landed[MINE] != 0;
        assert(chain_holds_it);
        chain_holds_it = false
    :: answer == confirmed && status[MINE] == flying -> status[MINE] = confirmed
    :: answer == null && status[MINE] == confirmed ->
#ifdef VANISHED_IS_DEAD
        status[MINE] = expired;
        live = 0
#else
        status[MINE] = flying
#endif
    :: else
    fi;
    answer = unasked
}

proctype worker(byte me) {
    byte n, valid, height;
    mtype answer = unasked;
    bool chain_holds_it;
start:
    if
    :: atomic { may_begin && !ended && live -> MINE = live; goto follow }
    :: atomic { may_begin && !ended && !live ->               /* signed, in memory */
                valid = node[TIP].tip + LIFE }    /* who sleeps now has an old blockhash in hand */
    :: atomic { !faults && may_begin && ended -> rested[me] = true; goto start }
    :: node[TIP].tip == LAST && rested[me] -> goto stop
    fi;

#ifdef SEND_BEFORE_JOURNAL
    if
    :: atomic { take_number(); send() }
    OR_DIE
    fi;
    if
    :: atomic { live == 0 && !ended -> status[MINE] = flying; live = MINE }
    :: atomic { !(live == 0 && !ended) -> goto rest }
    OR_DIE
    fi;
#else
    if
    :: atomic { MAY_JOURNAL -> take_number(); status[MINE] = flying; live = MINE }
    :: atomic { !MAY_JOURNAL -> goto rest }
    OR_DIE
    fi;
#endif

    /* One step: a lost send or a lost answer separates them often enough. */
follow:
    if
    :: atomic { status[MINE] == flying || status[MINE] == confirmed ->
                if :: status[MINE] == flying -> send() :: else fi;
                ask_any_node(); ask_status(); is_news();
                if
                :: answer != unasked -> n = 0; goto settle_it
                :: answer == unasked && status[MINE] != flying -> goto rest
                :: else
                fi;
#ifndef STATUS_BEFORE_HEIGHT
                ask_any_node(); height = SAFE_HEIGHT; if :: PAST_LIFE :: else -> goto rest fi;
#endif
                n = 0 }
    :: atomic { status[MINE] == finalized || status[MINE] == expired -> goto rest }
#ifdef RESIGN_ON_SEND_ERROR
    :: atomic { faults && status[MINE] == flying ->
                wire[MINE] = true; status[MINE] = expired; live = 0; goto rest }
#endif
    OR_DIE
    fi;

    /* The proof of death: past its life by a final height, and only then asked for. */
    if
    :: atomic { ask_any_node();
#ifndef STATUS_BEFORE_HEIGHT
                if :: HAS_ROOTED_IT :: else -> goto rest fi;
#endif
                ask_status(); if :: ABSENT :: else -> goto rest fi;
                answer = unasked; height = 0;
#ifndef STATUS_BEFORE_HEIGHT
                n = 0
#endif
                }
    OR_DIE
    fi;
#ifdef STATUS_BEFORE_HEIGHT
    if
    :: atomic { height = SAFE_HEIGHT; if :: PAST_LIFE :: else -> goto rest fi }
    OR_DIE
    fi;
#endif
    if
    :: atomic { status[MINE] == flying ->
                status[MINE] = expired;
                if :: live == MINE -> live = 0 :: else fi }
    :: status[MINE] != flying
    OR_DIE
    fi;
    goto rest;

settle_it:
    if
    :: atomic { settle() }
    OR_DIE
    fi;

rest:
    atomic { rested[me] = !faults; goto forget };
forget:                          /* all that it knew; the journal remembers */
    atomic { n = 0; valid = 0; height = 0; answer = unasked; MINE = 0; goto start };
stop:
    skip
}

init { atomic { run worker(0); run worker(1) } }
