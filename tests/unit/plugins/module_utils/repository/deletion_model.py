# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A model of deletion beside running writers (docs/format.md, "Sessions and tombstones"), small enough to be explored completely.

A state is the store and where each process stands. Every step is one request to the store. A process that is never scheduled again is one that
crashed or sleeps; a pruner may end any session at any time, so no step can rely on how long another takes. A listing may
lag: what was put lately may be missing in it, in any combination, until somebody has waited for a whole `tick` since.

A name is (content, generation). Pages and chunks obey the same rules, so the model has only one kind of object.
`Rules` switches single rules off: every such variant must be caught, or the model would prove nothing.
"""

from collections import namedtuple
from itertools import combinations

Rules = namedtuple("Rules", [
    "wait",              # a pruner waits until the sessions that began before its tombstones are over
    "end_first",         # a session is ended by a conditional put, for which the writer's announcement of its commit competes
    "check_open",        # a writer that has announced its commit looks whether its session is still there
    "look_again",        # a pruner looks at the images once more before it decides
    "decision",          # only names in the one published decision are deleted
    "new_name",          # a name that was given up is not written or used again
    "base",              # below the base of the lists no name is looked for by content
    "open_before_end",   # of a session that is over, `open` is removed before `end`
    "done_images",       # the image of a session that is done is looked up by its name, as a listing may not show it
    "ticks",             # how often a pruner waits as long as a listing may lag
])
SOUND = Rules(*[True] * 9, ticks=2)

# images: {image: names}; sessions: {session: (is open, end)}; lists: {number: (names, kept or None, base)}, all as sorted tuples of pairs.
State = namedtuple("State", ["objects", "images", "sessions", "lists", "fresh", "processes"])
Writer = namedtuple("Writer", ["step", "session", "needs", "given_up", "base", "parent", "names", "name"])
Pruner = namedtuple("Pruner", ["step", "rounds", "known", "number", "candidates", "seen", "kept", "sessions", "doomed", "over", "waits"])

KILLED, DONE = "killed", "done"


def writer(session, needs):
    return Writer("open", session, tuple(needs), frozenset(), 0, frozenset(), frozenset(), None)


def pruner(rounds):
    return Pruner("forget", rounds, (), 0, frozenset(), frozenset(), frozenset(), (), (), (), (0, None))


def start(objects, images, processes, lists=()):
    return State(frozenset(objects), tuple(sorted(images)), (), tuple(lists), frozenset(), tuple(processes))


def broken_images(state):
    """The images of which something is missing: there must never be one."""
    return [image for image, names in state.images if not names <= state.objects]


def explore(first, rules, lagging=False, limit=5000000):
    """(number of states, a state with a broken image or None), over everything that can happen, breadth first."""
    seen = {first}
    layer = [first]
    while layer:
        following = []
        for state in layer:
            for found in steps(state, rules, lagging):
                if found not in seen:
                    if broken_images(found):
                        return len(seen), found
                    seen.add(found)
                    following.append(found)
        assert len(seen) < limit, "the model has more states than expected"
        layer = following
    return len(seen), None


def steps(state, rules, lagging):
    """All states that one step of one process leads to."""
    for index, process in enumerate(state.processes):
        take = _write if isinstance(process, Writer) else _prune
        for changes, after in take(state, process, rules, lagging):
            processes = state.processes[:index] + (after,) + state.processes[index + 1:]
            yield state._replace(processes=processes, **changes)


# -- writers --------------------------------------------------------------------------------------------------------------


def _write(state, me, rules, lagging):
    sessions = dict(state.sessions)
    if me.step == "open":
        sessions[me.session] = (True, None)
        yield dict(sessions=_pairs(sessions), fresh=_mark(state, ("s", me.session), lagging)), me._replace(step="lists")
    elif me.step == "lists":
        for lists in _listings(state, "g", state.lists):
            base = max([entry[2] for _number, entry in lists] or [0])
            yield {}, me._replace(step="parent", given_up=_given_up(lists, base), base=base)
    elif me.step == "parent":
        yield {}, me._replace(step="next")
        for _image, names in state.images:
            yield {}, me._replace(step="next", parent=names)
    elif me.step == "next":
        content = next((content for content in me.needs if content not in {name[0] for name in me.names}), None)
        if content is None:
            yield {}, me._replace(step="announce")
            return
        given_up = me.given_up if rules.new_name else frozenset()
        known = [name for name in me.parent if name[0] == content and name not in given_up]
        if known:
            yield {}, me._replace(names=me.names | set(known[:1]))
            return
        generation = me.base if rules.base else 0
        while (content, generation) in given_up:
            generation += 1
        name = (content, generation)
        if name in state.objects:
            yield {}, me._replace(names=me.names | {name})
        else:
            yield {}, me._replace(step="put", name=name)
    elif me.step == "put":
        yield dict(objects=state.objects | {me.name}), me._replace(step="next", names=me.names | {me.name}, name=None)
    elif me.step == "announce":
        is_open, end = sessions.get(me.session, (False, None))
        if not rules.end_first:
            yield {}, me._replace(step="check")
        elif end is None:
            sessions[me.session] = (is_open, me.names)
            yield dict(sessions=_pairs(sessions)), me._replace(step="check")
    elif me.step == "check":
        if sessions.get(me.session, (False, None))[0] or not rules.check_open:
            yield {}, me._replace(step="commit")
    elif me.step == "commit":
        images = dict(state.images)
        images[me.session] = me.names
        yield dict(images=_pairs(images), fresh=_mark(state, ("i", me.session), lagging)), me._replace(step="tell")
    elif me.step == "tell":
        if me.session in sessions:
            sessions[me.session] = (sessions[me.session][0], DONE)
            yield dict(sessions=_pairs(sessions)), me._replace(step="over")


# -- pruners --------------------------------------------------------------------------------------------------------------


def _prune(state, me, rules, lagging):
    if me.step == "forget":
        yield {}, me._replace(step="read")
        for image, _names in state.images:
            yield dict(images=tuple(pair for pair in state.images if pair[0] != image)), me._replace(step="read")
    elif me.step == "read":
        for lists in _listings(state, "g", state.lists):
            yield {}, me._replace(step="mark intents", known=lists)
    elif me.step == "mark intents":
        yield {}, me._replace(step="mark", kept=_intents(state, rules), over=_over(state))
    elif me.step == "mark":
        for images in _listings(state, "i", state.images):
            yield {}, me._replace(step="scan", seen=frozenset(images), kept=me.kept.union(*[names for _image, names in images]))
    elif me.step == "scan":
        base = max([entry[2] for _number, entry in me.known] or [0])
        gone = {name for _number, entry in me.known if entry[1] is not None for name in entry[0] - entry[1]}
        listed = _given_up(me.known, base)
        candidates = state.objects - me.kept - listed
        doomed = tuple(sorted((state.objects & gone) - me.kept))
        pending = [number for number, entry in me.known if entry[1] is None and number > base]
        me = me._replace(candidates=frozenset(candidates), doomed=doomed)
        if doomed:
            yield {}, me._replace(step="delete")
        elif pending:                            # left by another pruner, perhaps a dead one: decided on its behalf
            yield {}, me._replace(step="tick", number=pending[0], candidates=dict(me.known)[pending[0]][0], seen=frozenset())
        elif candidates:
            yield {}, me._replace(step="publish")
    elif me.step == "publish":
        lists = dict(state.lists)
        number = max([0] + [number for number, _entry in me.known]) + 1
        if number in lists:
            yield {}, me._replace(step="read")
            return
        decided = [known for known, entry in me.known if entry[1] is not None]
        for base in sorted({max([entry[2] for _number, entry in me.known] or [0]), max(decided or [0])}):
            if all(entry[1] is not None for known, entry in me.known if known <= base):
                changed = dict(lists)
                changed[number] = (me.candidates, None, base)
                yield (dict(lists=_pairs(changed), fresh=_mark(state, ("g", number), lagging)),
                       me._replace(step="tick", number=number))
    elif me.step == "tick":
        done, aging = me.waits
        if not lagging or done == rules.ticks:
            yield {}, me._replace(step="sessions", waits=(0, None))
        elif aging is None:
            yield {}, me._replace(waits=(done, state.fresh))
        else:
            yield dict(fresh=state.fresh - aging), me._replace(waits=(done + 1, None))
    elif me.step == "sessions":
        for sessions in _listings(state, "s", state.sessions):
            listed = tuple(session for session, (is_open, _end) in sessions if is_open)
            yield {}, me._replace(step="resolve", sessions=listed if rules.wait else ())
    elif me.step == "resolve":
        yield from _resolve(state, me, rules)
    elif me.step == "intents":
        yield {}, me._replace(step="look", kept=me.kept | _intents(state, rules))
    elif me.step == "look":
        for images in _listings(state, "i", state.images):
            kept = frozenset().union(*[names for image, names in images if (image, names) not in me.seen])
            yield {}, me._replace(step="decide", kept=me.kept | kept)
    elif me.step == "decide":
        lists = dict(state.lists)
        names, decided, base = lists.get(me.number, (me.candidates, None, 0))
        if decided is None:
            decided = me.kept & names
            lists[me.number] = (names, decided, base)
        kept = decided if rules.decision else me.kept
        yield dict(lists=_pairs(lists)), me._replace(step="delete", doomed=tuple(sorted(names - kept)))
    elif me.step == "delete":
        if me.doomed:
            yield dict(objects=state.objects - {me.doomed[0]}), me._replace(doomed=me.doomed[1:])
        else:
            yield {}, me._replace(step="tidy", sessions=me.over if me.number or not lagging else ())
    elif me.step == "tidy":
        yield from _tidy(state, me, rules)


def _resolve(state, me, rules):
    """One session after the other: over, or announced; else it is ended, or the pruner leaves the decision to a later run."""
    if not me.sessions:
        yield {}, me._replace(step="intents" if rules.look_again else "decide", kept=frozenset())
        return
    sessions = dict(state.sessions)
    session = me.sessions[0]
    is_open, end = sessions.get(session, (False, None))
    if end is None and is_open:
        if rules.end_first:
            sessions[session] = (is_open, KILLED)
        else:
            del sessions[session]
        yield dict(sessions=_pairs(sessions)), me._replace(sessions=me.sessions[1:])
        yield {}, _again(me)
    else:
        yield {}, me._replace(sessions=me.sessions[1:])


def _tidy(state, me, rules):
    if not me.sessions:
        yield {}, _again(me)
        return
    sessions = dict(state.sessions)
    session = me.sessions[0]
    is_open, end = sessions.get(session, (False, None))
    if is_open and rules.open_before_end:
        sessions[session] = (False, end)
        yield dict(sessions=_pairs(sessions)), me
    elif end is not None and not isinstance(end, frozenset):
        sessions[session] = (is_open, None)
        if not is_open:
            del sessions[session]
        yield dict(sessions=_pairs(sessions)), me if is_open else me._replace(sessions=me.sessions[1:])
    else:
        sessions.pop(session, None)
        yield dict(sessions=_pairs(sessions)), me._replace(sessions=me.sessions[1:])


def _again(me):
    return pruner(me.rounds - 1) if me.rounds > 1 else pruner(0)._replace(step="over")


# -- the store ------------------------------------------------------------------------------------------------------------


def _listings(state, kind, pairs):
    """What a listing may show: all, or all but some of what is fresh."""
    hidden = [key for what, key in state.fresh if what == kind and key in dict(pairs)]
    for count in range(len(hidden) + 1):
        for missing in combinations(hidden, count):
            yield tuple(pair for pair in pairs if pair[0] not in missing)


def _given_up(lists, base):
    return frozenset(name for number, (names, kept, _base) in lists if number > base for name in names - (kept or frozenset()))


def _intents(state, rules):
    """Names in announced images, and in those of sessions that are done: a listing of images may not show them yet."""
    images = dict(state.images) if rules.done_images else {}
    announced = [end for _session, (_open, end) in state.sessions if isinstance(end, frozenset)]
    return frozenset().union(*announced + [images.get(session, ()) for session, (_open, end) in state.sessions if end == DONE])


def _over(state):
    return tuple(session for session, (_open, end) in state.sessions if end in (KILLED, DONE))


def _mark(state, what, lagging):
    return state.fresh | {what} if lagging else state.fresh


def _pairs(mapping):
    return tuple(sorted(mapping.items(), key=lambda pair: pair[0]))
