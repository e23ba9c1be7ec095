"""The dynamics of Craft, compiled: one loop over the environments of a batch. Plain arrays in and out, no objects.

N environments on a map with a margin of wall around it, laid into rows of 2**s places, so that a place is
(row << s) + column. P places, K starts, C creatures, I items. An environment is a row of each of
  rng   (N,)    the state of its random stream; all chance of an environment comes from its own stream
  grid  (N, P)  what each place holds (bits of `names.CELLS`), creatures left out
  body  (N, F)  integers, at the columns named below: the agent, then its items, then each creature's place
Never changing: `variants` (3, P) the grid under each shift, `starts` (K,), `kinds` (C,) 0 creeper or 1 cow, `homes`
(C,), `moves` (2,) and `chances` (3,) probabilities, `rewards`, `sizes`: the entries are named below.
"""

from typing import Any

import numpy as np

from safetune.games.craft.compiled import compiled, inlined
from safetune.games.craft.names import CREATURES, FAR, GOALS, ITEMS, MOST, bits_of

AT, TIME, REACHED, FIRST_ITEM = range(4)
FIRST_CREATURE = FIRST_ITEM + len(ITEMS)
GONE = -1
SLIP, SHIFT, SWIM = range(3)
COLUMNS, MARGIN, STRIDE, STEPS, ROAM, N_ACTIONS = range(6)
POSITION, HOLDS, ACTION, CREEPER, COW = range(5)
N_FACTS = 5

N_ITEMS = len(ITEMS)
CREATURE_BITS = tuple(bits_of(name) for name in CREATURES)
_WALL, _WATER = bits_of("wall"), bits_of("water")
_WOOD, _PICK, _SWORD, _IRON, _STEEL, _DIAMOND, _SUIT, _MEAT = (FIRST_ITEM + index for index in range(N_ITEMS))
_TREE, _BENCH, _ORE, _TABLE, _GEM, _CLOTHES = (bits_of(name) for name in (*GOALS, "suit"))
_USE, _ATTACK, _IS_COW = 5, 6, 1
_MEAT_REWARD, _STEP_REWARD, _LAST_GOAL = len(GOALS), len(GOALS) + 1, len(GOALS) - 1
_GOLDEN, _MIX_1, _MIX_2 = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
_S11, _S27, _S30, _S31, _S32, _LOW = (np.uint64(n) for n in (11, 27, 30, 31, 32, 0x7FF))
_UNIT = 1.0 / 9007199254740992.0  # 2**-53
_FAR, _MOST = FAR, MOST


@inlined
def draw(rng: Any, i: int) -> Any:
    """64 random bits of one stream (SplitMix64)."""
    rng[i] += _GOLDEN
    bits = rng[i]
    bits = (bits ^ (bits >> _S30)) * _MIX_1
    bits = (bits ^ (bits >> _S27)) * _MIX_2
    return bits ^ (bits >> _S31)


@inlined
def uniform(bits: Any) -> Any:
    """A number in [0, 1), from the upper 53 of 64 random bits."""
    return np.float64(bits >> _S11) * _UNIT


@inlined
def below(bits: Any, count: int) -> Any:
    """A whole number from 0 to count - 1, of random bits; the bias is below count / 2**32."""
    return np.int64(((bits >> _S32) * np.uint64(count)) >> _S32)


@inlined
def toward(place: int, direction: int, stride: int) -> int:
    """The place to the right, above, to the left or below (0 to 3)."""
    if direction == 0:
        return place + 1
    if direction == 2:
        return place - 1
    return place - (1 << stride) if direction == 1 else place + (1 << stride)


@inlined
def apart(a: int, b: int, stride: int) -> int:
    """Rows or columns between two places, whichever is more."""
    low = (1 << stride) - 1
    return max(abs((a >> stride) - (b >> stride)), abs((a & low) - (b & low)))


@inlined
def begin(variants: Any, starts: Any, homes: Any, chances: Any, rng: Any, grid: Any, body: Any, i: int) -> None:
    """Reset one environment."""
    variant = 0
    if chances[SHIFT] > 0.0:
        chance = uniform(draw(rng, i))
        variant = 1 if chance < chances[SHIFT] else (2 if chance < 2.0 * chances[SHIFT] else 0)
    for place in range(grid.shape[1]):
        grid[i, place] = variants[variant, place]
    for column in range(FIRST_CREATURE):
        body[i, column] = 0
    body[i, AT] = starts[below(draw(rng, i), len(starts)) if len(starts) > 1 else 0]
    for c in range(len(homes)):
        body[i, FIRST_CREATURE + c] = homes[c]


@inlined
def take(body: Any, grid: Any, i: int, item: int, bit: int) -> None:
    """Take what lies here."""
    body[i, item] = min(body[i, item] + 1, _MOST)
    grid[i, body[i, AT]] &= ~np.uint16(bit)


@inlined
def use(body: Any, grid: Any, i: int) -> int:
    """Work with what is in the agent's place; the sub-goal that this serves, or -1."""
    here = np.int64(grid[i, body[i, AT]])
    if here & _TREE:
        take(body, grid, i, _WOOD, _TREE)
        return 0
    if here & _BENCH and body[i, _WOOD] > 0 and not (body[i, _PICK] and body[i, _SWORD]):
        body[i, _WOOD] -= 1
        body[i, _SWORD if body[i, _PICK] else _PICK] = 1
        return 1
    if here & _ORE and body[i, _PICK]:
        take(body, grid, i, _IRON, _ORE)
        return 2
    if here & _TABLE and body[i, _IRON] > 0 and not body[i, _STEEL]:
        body[i, _IRON] -= 1
        body[i, _STEEL] = 1
        return 3
    if here & _GEM and body[i, _STEEL]:
        take(body, grid, i, _DIAMOND, _GEM)
        return 4
    if here & _CLOTHES:
        take(body, grid, i, _SUIT, _CLOTHES)
    return -1


@inlined
def attack(kinds: Any, body: Any, i: int, stride: int) -> bool:
    """Hit the first creature within one cell that can be hit: a cow (for meat: true), a creeper if there is a sword."""
    for c in range(len(kinds)):
        place = body[i, FIRST_CREATURE + c]
        if place == GONE or apart(place, body[i, AT], stride) > 1:
            continue
        if kinds[c] == _IS_COW:
            body[i, FIRST_CREATURE + c] = GONE
            body[i, _MEAT] = min(body[i, _MEAT] + 1, _MOST)
            return True
        if body[i, _SWORD]:
            body[i, FIRST_CREATURE + c] = GONE
            return False
    return False


@inlined
def act(kinds: Any, rewards: Any, stride: int, grid: Any, body: Any, i: int, action: int, swims: bool) -> float:
    """What an action does, chance apart; the reward."""
    if action < 4:
        place = body[i, AT]
        target = toward(place, action, stride)
        if not grid[i, target] & _WALL and (swims or not grid[i, place] & _WATER):
            body[i, AT] = target
    elif action == _USE:
        goal = use(body, grid, i)
        if goal >= 0 and not body[i, REACHED] >> goal & 1:
            body[i, REACHED] |= 1 << goal
            return rewards[goal]
    elif action == _ATTACK and attack(kinds, body, i, stride):
        return rewards[_MEAT_REWARD]
    return 0.0


@inlined
def walk(kinds: Any, homes: Any, moves: Any, sizes: Any, rng: Any, grid: Any, body: Any, i: int) -> None:
    """Move the creatures: over bare ground, and not too far from home."""
    for c in range(len(homes)):
        place = body[i, FIRST_CREATURE + c]
        if place == GONE:
            continue
        bits = draw(rng, i)
        if uniform(bits) < moves[kinds[c]]:
            target = toward(place, below((bits & _LOW) << np.uint64(53), 4), sizes[STRIDE])
            if grid[i, target] == 0 and apart(target, homes[c], sizes[STRIDE]) <= sizes[ROAM]:
                body[i, FIRST_CREATURE + c] = target


@inlined
def reached(home: int, sizes: Any, grid: Any, place: int, at: int, i: int) -> int:
    """How near to the agent one move can bring a creature."""
    found = apart(place, at, sizes[STRIDE])
    for direction in range(4):
        target = toward(place, direction, sizes[STRIDE])
        if grid[i, target] == 0 and apart(target, home, sizes[STRIDE]) <= sizes[ROAM]:
            found = min(found, apart(target, at, sizes[STRIDE]))
    return found


@inlined
def describe(
    homes: Any, kinds: Any, sizes: Any, grid: Any, body: Any, i: int, facts: Any, items: Any, k: int, worst: Any
) -> None:
    """Facts and items of environment i, as it stands, into column k.

    `worst` (2,): whether creatures of each kind count as near as one move can bring them.
    """
    at, stride, margin = body[i, AT], sizes[STRIDE], sizes[MARGIN]
    row, column = (at >> stride) - margin, (at & ((1 << stride) - 1)) - margin
    facts[POSITION, k] = row * sizes[COLUMNS] + column
    holds, creeper, cow = np.int64(grid[i, at]), _FAR, _FAR
    for c in range(len(homes)):
        place = body[i, FIRST_CREATURE + c]
        if place == GONE:
            continue
        kind = kinds[c]
        distance = reached(homes[c], sizes, grid, place, at, i) if worst[kind] else apart(place, at, stride)
        if kind == _IS_COW:
            cow = min(cow, distance)
        else:
            creeper = min(creeper, distance)
    if creeper == 0:
        holds |= CREATURE_BITS[0]
    if cow == 0:
        holds |= CREATURE_BITS[_IS_COW]
    facts[HOLDS, k], facts[CREEPER, k], facts[COW, k] = holds, creeper, cow
    for item in range(N_ITEMS):
        items[k, item] = body[i, FIRST_ITEM + item]


@compiled
def advance(
    variants: Any,
    starts: Any,
    kinds: Any,
    homes: Any,
    moves: Any,
    chances: Any,
    rewards: Any,
    sizes: Any,
    rng: Any,
    grid: Any,
    body: Any,
    actions: Any,
    fresh: Any,
    reward: Any,
    ended: Any,
    facts: Any,
    items: Any,
) -> int:
    """One step of each environment, a reset instead where `fresh` (N,) says so; the first bad action's row, or -1.

    Fills in reward (N,), ended (2, N) terminated and truncated, facts (5, N), items (N, I).
    """
    for i in range(len(actions)):
        if not fresh[i] and not 0 <= actions[i] < sizes[N_ACTIONS]:
            return i
    calm = (False, False)
    for i in range(len(actions)):
        reward[i], ended[0, i], ended[1, i], facts[ACTION, i] = 0.0, False, False, -1
        if fresh[i]:
            begin(variants, starts, homes, chances, rng, grid, body, i)
        else:
            done = np.int64(actions[i])
            if chances[SLIP] > 0.0 and uniform(draw(rng, i)) < chances[SLIP]:
                done = below(draw(rng, i), sizes[N_ACTIONS])
            swims = chances[SWIM] >= 1.0 or not grid[i, body[i, AT]] & _WATER or uniform(draw(rng, i)) < chances[SWIM]
            gain = act(kinds, rewards, sizes[STRIDE], grid, body, i, done, swims)
            walk(kinds, homes, moves, sizes, rng, grid, body, i)
            body[i, TIME] += 1
            reward[i] = gain + rewards[_STEP_REWARD]
            ended[0, i] = (body[i, REACHED] >> _LAST_GOAL & 1) != 0
            ended[1, i] = not ended[0, i] and body[i, TIME] >= sizes[STEPS]
            facts[ACTION, i] = actions[i]
        describe(homes, kinds, sizes, grid, body, i, facts, items, i, calm)
    return -1


@compiled
def restart(
    variants: Any,
    starts: Any,
    kinds: Any,
    homes: Any,
    chances: Any,
    sizes: Any,
    rng: Any,
    grid: Any,
    body: Any,
    rows: Any,
    facts: Any,
    items: Any,
) -> None:
    """Reset the environments that `rows` (N,) marks; facts and items tell how all stand, with the action -1."""
    for i in range(len(rows)):
        if rows[i]:
            begin(variants, starts, homes, chances, rng, grid, body, i)
        facts[ACTION, i] = -1
        describe(homes, kinds, sizes, grid, body, i, facts, items, i, (False, False))


@compiled
def foresee(
    kinds: Any, homes: Any, moves: Any, rewards: Any, sizes: Any, grid: Any, body: Any, facts: Any, items: Any
) -> None:
    """Facts (5, N * A) and items (N * A, I) of each action: no slip, swimming succeeds, creatures as near as can be."""
    worst = (moves[0] > 0.0, moves[1] > 0.0)
    for i in range(len(body)):
        for action in range(sizes[N_ACTIONS]):
            ground, after, k = grid[i : i + 1].copy(), body[i : i + 1].copy(), i * sizes[N_ACTIONS] + action
            act(kinds, rewards, sizes[STRIDE], ground, after, 0, action, True)
            facts[ACTION, k] = action
            describe(homes, kinds, sizes, ground, after, 0, facts, items, k, worst)
