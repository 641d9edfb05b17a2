#include "engine/scheduler.h"

#include <algorithm>
#include <utility>

namespace rf {

void Scheduler::remove(Sequence& sequence) {
  pages_.release(sequence.pages);
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
    const auto size = static_cast<std::size_t>(pages_.page_tokens());
    for (; s.published < s.read / pages_.page_tokens(); ++s.published) {
      const auto i = static_cast<std::size_t>(s.published);
      const std::int32_t parent = i == 0 ? PagePool::no_page : s.pages[i - 1];
      s.pages[i] = pages_.publish(parent, s.pages[i], std::span(s.tokens).subspan(i * size, size));
    }
  }
  return pieces_;
}

void Scheduler::make_room(int count) {
  while (pages_.available() < count && !running_.empty()) send_back_youngest();
}

void Scheduler::send_back_youngest() {
  Sequence& s = *running_.back();
  running_.pop_back();
  pages_.release(s.pages);
  s.read = s.published = 0;
  waiting_.push_front(&s);
}

// Gives a page to each sequence that has filled all of its own.
void Scheduler::grow() {
  for (std::size_t i = 0; i < running_.size(); ++i) {
    Sequence& s = *running_[i];
    if (pages_for(s.read + 1) <= static_cast<int>(s.pages.size())) continue;
    make_room(1);
    if (i < running_.size()) s.pages.push_back(pages_.take());  // else it was itself the youngest
  }
}

void Scheduler::admit() {
  while (!waiting_.empty() && static_cast<int>(running_.size()) < batch_.limits().sequences &&
         let_in(*waiting_.front())) {
    running_.push_back(waiting_.front());
    waiting_.pop_front();
  }
}

// Takes pages for all tokens of `s`, if one is left then for each running sequence to grow into.
bool Scheduler::let_in(Sequence& s) {
  const auto all = std::span<const std::int32_t>(s.tokens);
  if (!s.whole && !s.all_wanted) s.pages = pages_.match(all.first(all.size() - 1));
  const int matched = static_cast<int>(s.pages.size());
  const int missing = pages_for(static_cast<int>(s.tokens.size())) - matched;
  if (missing + static_cast<int>(running_.size()) > pages_.available()) {
    pages_.release(s.pages);
    return false;
  }
  for (int i = 0; i < missing; ++i) s.pages.push_back(pages_.take());
  s.published = matched;
  s.read = matched * pages_.page_tokens();
  if (s.served == 0) s.cached = s.read;
  return true;
}

// Decides how many rows each running sequence reads in this step.
void Scheduler::share_rows() {
  std::vector<Sequence*> order = running_;
  std::ranges::sort(order, {}, [](const Sequence* s) { return std::pair(s->served, s->id); });
  auto prompts = static_cast<int>(std::ranges::count_if(order, [](auto* s) { return s->unread() > 1; }));
  int decoding = static_cast<int>(order.size()) - prompts;
  int rows = batch_.limits().rows, wanted = batch_.limits().wanted;
  pieces_.clear();
  for (Sequence* s : order) {
    if (rows == 0) break;
    int share = 1;
    if (s->unread() > 1) {
      share = std::clamp((rows - decoding + prompts - 1) / prompts, 1, s->unread());
      --prompts;
    } else {
      --decoding;
    }
    if (s->whole) share = s->unread() <= rows ? s->unread() : 0;
    if (s->all_wanted)
      wanted -= share;
    else if (share == s->unread() && wanted-- <= 0)
      --share;  // the last row would be one wanted too many
    if (share > 0) pieces_.push_back({s, share, -1});
    rows -= share;
  }
  // What short prompts left over.
  for (Piece& piece : pieces_) {
    const int more = std::min(rows, piece.sequence->unread() - piece.rows - (wanted > 0 ? 0 : 1));
    if (more <= 0) continue;
    piece.rows += more;
    rows -= more;
    wanted -= piece.sequence->all_wanted ? more : piece.rows == piece.sequence->unread() ? 1 : 0;
  }
}

void Scheduler::fill_batch() {
  batch_.clear();
  for (Piece& piece : pieces_) {
    Sequence& s = *piece.sequence;
    s.served = ++turn_;
    batch_.add_sequence(s.pages);
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
