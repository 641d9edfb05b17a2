#include "engine/scheduler.h"

#include <algorithm>
#include <utility>

namespace rf {

Scheduler::Scheduler(PrefixCache& cache, const BatchLimits& limits) : cache_(cache), batch_(limits) {
  for (int state = limits.sequences - 1; state >= 0; --state) free_states_.push_back(state);
}

void Scheduler::add(Sequence& sequence) {
  const auto before = [](const Sequence* a, const Sequence* b) {
    // What was sent back goes on first.
    if ((a->served > 0) != (b->served > 0)) return a->served > 0;
    if (a->priority != b->priority) return a->priority > b->priority;
    return std::pair(a->rank, a->id) < std::pair(b->rank, b->id);
  };
  waiting_.insert(std::upper_bound(waiting_.begin(), waiting_.end(), &sequence, before), &sequence);
}

void Scheduler::remove(Sequence& sequence) {
  cache_.note_finished(sequence);
  stop(sequence);
  std::erase(running_, &sequence);
  std::erase(waiting_, &sequence);
}

bool Scheduler::next() {
  grow();
  admit();
  if (running_.empty()) return false;
  share_rows();
  fill_batch();
  return true;
}

std::span<const Scheduler::Piece> Scheduler::advance() {
  for (const Piece& piece : pieces_) {
    Sequence& s = *piece.sequence;
    s.read += piece.rows;
    if (s.whole) continue;
    cache_.publish(s);
    if (cache_.has_states() && !s.all_wanted && s.read == s.published * cache_.page_tokens())
      snapshot_at_border(s);
  }
  return pieces_;
}

// Tokens that the sequence should have read before a batch goes on, 0: all the same.
int Scheduler::next_border(const Sequence& s) const {
  if (!cache_.has_states() || s.whole || s.all_wanted) return 0;
  if (s.parted > s.read) return s.parted;
  const int full = (static_cast<int>(s.tokens.size()) - 1) / cache_.page_tokens() * cache_.page_tokens();
  return full > s.read ? full : 0;
}

// Of a sequence that has just filled a page.
void Scheduler::snapshot_at_border(Sequence& s) {
  const bool answers = s.unread() == 0;
  if (answers || s.read == s.parted || next_border(s) == 0) cache_.take_snapshot(s, answers);
}

int Scheduler::take_state() {
  while (free_states_.empty()) send_back_youngest();
  const int state = free_states_.back();
  free_states_.pop_back();
  return state;
}

// It holds nothing any longer.
void Scheduler::stop(Sequence& s) {
  cache_.release(s);
  if (s.state >= 0) give_back_state(std::exchange(s.state, -1));
  s.newest_snapshot = PagePool::no_page;
}

void Scheduler::make_room(int count) {
  while (cache_.pages().available() < count && !running_.empty()) send_back_youngest();
}

void Scheduler::restart() {
  for (; !running_.empty(); running_.pop_back()) waiting_.push_front(running_.back());
  for (Sequence* s : waiting_) {
    stop(*s);
    s->read = s->published = s->left_off = 0;
  }
}

void Scheduler::send_back_youngest() {
  Sequence& s = *running_.back();
  cache_.put_aside(s);
  running_.pop_back();
  stop(s);
  s.left_off = s.read;
  s.read = s.published = 0;
  waiting_.push_front(&s);
  ++sent_back_;
}

// Gives a page to each sequence that has filled all of its own.
void Scheduler::grow() {
  for (std::size_t i = 0; i < running_.size(); ++i) {
    Sequence& s = *running_[i];
    if (pages_for(s.read + 1) <= static_cast<int>(s.pages.size())) continue;
    make_room(1);
    if (i < running_.size()) s.pages.push_back(cache_.pages().take());  // else it was itself the youngest
  }
}

void Scheduler::admit() {
  for (std::size_t i = 0; i < waiting_.size();) {
    Sequence& s = *waiting_[i];
    if (static_cast<int>(running_.size()) >= batch_.limits().sequences) return;
    const bool near = i < static_cast<std::size_t>(batch_.limits().sequences);
    if (follows_a_reader(s) || !cache_.fetched(s, near)) {
      ++i;
      continue;
    }
    if (!let_in(s)) return;
    running_.push_back(&s);
    std::erase(waiting_, &s);
  }
}

// A running sequence that has read all tokens of `s` but the last one, null: there is none.
const Sequence* Scheduler::twin_of(const Sequence& s) const {
  if (cache_.has_states() || s.whole || s.all_wanted) return nullptr;
  const auto known = static_cast<std::ptrdiff_t>(s.tokens.size()) - 1;
  const auto twin = std::ranges::find_if(running_, [&](const Sequence* r) {
    return !r->whole && r->read >= known &&
           std::equal(s.tokens.begin(), s.tokens.begin() + known, r->tokens.begin());
  });
  return twin == running_.end() ? nullptr : *twin;
}

// Whether a running sequence is still to read pages that `s` will then find, having the same beginning.
bool Scheduler::follows_a_reader(const Sequence& s) {
  if (s.whole || s.all_wanted) return false;
  bool follows = false;
  for (Sequence* r : running_) {
    if (r->unread() <= 1 || r->whole) continue;
    const std::size_t most = std::min(r->tokens.size(), s.tokens.size() - 1);
    const auto end = std::mismatch(r->tokens.begin(), r->tokens.begin() + static_cast<std::ptrdiff_t>(most),
                                   s.tokens.begin());
    const int common = static_cast<int>(end.first - r->tokens.begin());
    const int shared = common / cache_.page_tokens();
    if (!cache_.has_states() && common == static_cast<int>(s.tokens.size()) - 1 && common > r->read)
      return true;
    if (shared <= r->published || shared <= cache_.known_pages(s)) continue;
    follows = true;
    const int border = shared * cache_.page_tokens();  // `s` goes on from a snapshot there
    if (r->parted <= r->read || border < r->parted) r->parted = border;
  }
  return follows;
}

// Takes pages for all tokens of `s`, if one is left then for each running sequence to grow into.
bool Scheduler::let_in(Sequence& s) {
  for (;;) {
    PrefixCache::Known known = cache_.known(s);
    const int missing = pages_for(static_cast<int>(s.tokens.size())) - static_cast<int>(known.held.size());
    if (missing + static_cast<int>(running_.size()) > cache_.pages().available()) {
      cache_.pages().release(known.held);
      return false;
    }
    if (s.state < 0) s.state = take_state();
    if (!cache_.take_up(s, std::move(known), missing)) continue;
    if (const Sequence* twin = twin_of(s)) cache_.take_from_twin(s, *twin);
    return true;
  }
}

// Decides how many rows each running sequence reads in this step.
void Scheduler::share_rows() {
  std::vector<Sequence*> order = running_;
  std::ranges::sort(order, {}, [](const Sequence* s) { return std::pair(s->served, s->id); });
  auto prompts = static_cast<int>(std::ranges::count_if(order, [](auto* s) { return s->unread() > 1; }));
  int decoding = static_cast<int>(order.size()) - prompts;
  int rows = batch_.limits().rows, wanted = batch_.limits().wanted;
  const bool all_decode = rows > decoding;  // else they take turns, and prompts with them
  if (decoding > 0 && all_decode) rows = decoding + std::min(rows - decoding, prompt_rows_);
  pieces_.clear();
  const auto most = [this](const Sequence& s) {
    const int border = next_border(s);
    return border != 0 ? border - s.read : s.unread();
  };
  for (Sequence* s : order) {
    if (rows == 0) break;
    int share = 1;
    if (s->unread() > 1) {
      if (all_decode && rows == decoding) {  // its turn comes
        --prompts;
        continue;
      }
      share = std::clamp((rows - decoding + prompts - 1) / prompts, 1, most(*s));
      --prompts;
    } else {
      --decoding;
    }
    if (s->all_wanted) share = std::min(share, std::max(wanted - decoding, std::min(wanted, 1)));
    if (s->whole) share = s->unread() <= rows ? s->unread() : 0;
    if (s->all_wanted)
      wanted -= share;
    else if (share == s->unread() && wanted-- <= 0)
      --share;  // the last row would be one wanted too many
    if (share > 0) pieces_.push_back({s, share, -1, s->unread() == 1});
    rows -= share;
  }
  // What short prompts left over.
  for (Piece& piece : pieces_) {
    const bool all = piece.sequence->all_wanted;
    const int left = piece.sequence->unread() - piece.rows - (wanted > 0 ? 0 : 1);
    const int more = std::min({rows, left, most(*piece.sequence) - piece.rows, all ? wanted : rows});
    if (more <= 0) continue;
    piece.rows += more;
    rows -= more;
    wanted -= all ? more : piece.rows == piece.sequence->unread() ? 1 : 0;
  }
}

void Scheduler::fill_batch() {
  batch_.clear();
  for (Piece& piece : pieces_) {
    Sequence& s = *piece.sequence;
    s.served = ++turn_;
    batch_.add_sequence(s.pages, s.state);
    const int end = s.read + piece.rows;
    for (int p = s.read; p < end; ++p) {
      const bool last = p + 1 == static_cast<int>(s.tokens.size());
      const bool wanted = last || s.all_wanted;
      if (wanted) piece.wanted = batch_.wanted();
      batch_.add_row(s.tokens[static_cast<std::size_t>(p)], p, wanted);
    }
  }
}

}  // namespace rf
