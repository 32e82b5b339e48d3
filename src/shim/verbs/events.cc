// SPDX-License-Identifier: Apache-2.0
#include "shim/verbs/events.h"

#include <cerrno>
#include <memory>

#include "shim/verbs/engine.h"

namespace tideline::shim::verbs {
namespace {

template <typename Base, typename Ready>
void wait_acknowledged(Base& base, Ready&& ready) {
  ::pthread_mutex_lock(&base.mutex);
  while (!ready()) ::pthread_cond_wait(&base.cond, &base.mutex);
  ::pthread_mutex_unlock(&base.mutex);
}

// The object of an event; what the union holds depends on its type.
const void* object_of(const ibv_async_event& event) {
  switch (event.event_type) {
    case IBV_EVENT_CQ_ERR:
      return event.element.cq;
    case IBV_EVENT_SRQ_ERR:
    case IBV_EVENT_SRQ_LIMIT_REACHED:
      return event.element.srq;
    case IBV_EVENT_QP_FATAL:
    case IBV_EVENT_QP_REQ_ERR:
    case IBV_EVENT_QP_ACCESS_ERR:
    case IBV_EVENT_COMM_EST:
    case IBV_EVENT_SQ_DRAINED:
    case IBV_EVENT_PATH_MIG:
    case IBV_EVENT_PATH_MIG_ERR:
    case IBV_EVENT_QP_LAST_WQE_REACHED:
      return event.element.qp;
    default:
      return nullptr;
  }
}

void forget_async(ibv_context* context, const void* object) {
  context_of(context).async_events.remove_if_gone(
      [](const ibv_async_event& event, const void* gone) { return object_of(event) == gone; },
      object);
}

// Adds to a count of an object under the lock that its end waits with.
template <typename Base>
void add(Base& base, std::uint32_t& counter, std::uint32_t count) {
  ::pthread_mutex_lock(&base.mutex);
  counter += count;
  ::pthread_cond_signal(&base.cond);
  ::pthread_mutex_unlock(&base.mutex);
}

enum class Side { kGiven, kAcknowledged };

// One more event of its object has been given to the program, or acknowledged by it.
void count(const ibv_async_event& event, Side side) {
  const bool is_given = side == Side::kGiven;
  if (object_of(event) == nullptr) return;
  if (event.event_type == IBV_EVENT_CQ_ERR) {
    ibv_cq& cq = *event.element.cq;
    add(cq, is_given ? of(&cq).async_events : cq.async_events_completed, 1);
  } else if (event.event_type == IBV_EVENT_SRQ_ERR ||
             event.event_type == IBV_EVENT_SRQ_LIMIT_REACHED) {
    ibv_srq& srq = *event.element.srq;
    add(srq, is_given ? of(&srq).async_events : srq.events_completed, 1);
  } else {
    ibv_qp& qp = *event.element.qp;
    add(qp, is_given ? of(&qp).async_events : qp.events_completed, 1);
  }
}

}  // namespace

void forget_events(Cq& cq) {
  const void* handle = cq.base_cq();
  if (cq.base.channel != nullptr) {
    of(cq.base.channel)
        .events.remove_if_gone([](ibv_cq* const& event, const void* gone) { return event == gone; },
                               handle);
  }
  forget_async(cq.base.context, handle);
  wait_acknowledged(cq.base, [&] {
    return cq.base.comp_events_completed == cq.completion_events &&
           cq.base.async_events_completed == cq.async_events;
  });
}

void forget_events(Srq& srq) {
  forget_async(srq.base.context, &srq.base);
  wait_acknowledged(srq.base, [&] { return srq.base.events_completed == srq.async_events; });
}

void forget_events(Qp& qp) {
  ibv_qp& base = qp.base.qp_base;
  forget_async(base.context, &base);
  wait_acknowledged(base, [&] { return base.events_completed == qp.async_events; });
}

}  // namespace tideline::shim::verbs

using namespace tideline::shim::verbs;  // NOLINT(google-build-using-namespace): the C face of it

extern "C" {

ibv_comp_channel* ibv_create_comp_channel(ibv_context* context) {
  auto channel = std::make_unique<Channel>();
  if (!channel->events.open()) return nullptr;
  channel->base = {.context = context, .fd = channel->events.fd(), .refcnt = 0};
  return &channel.release()->base;
}

int ibv_destroy_comp_channel(ibv_comp_channel* channel) {
  if (channel->refcnt != 0) return EBUSY;
  delete &of(channel);
  return 0;
}

int ibv_get_cq_event(ibv_comp_channel* channel, ibv_cq** cq, void** user) {
  the_engine().about_to_sleep();
  if (!of(channel).events.pop(*cq)) return -1;
  add(**cq, of(*cq).completion_events, 1);
  *user = (*cq)->cq_context;
  return 0;
}

void ibv_ack_cq_events(ibv_cq* cq, unsigned count) { add(*cq, cq->comp_events_completed, count); }

int ibv_get_async_event(ibv_context* context, ibv_async_event* event) {
  the_engine().about_to_sleep();
  if (!context_of(context).async_events.pop(*event)) return -1;
  count(*event, Side::kGiven);
  return 0;
}

void ibv_ack_async_event(ibv_async_event* event) { count(*event, Side::kAcknowledged); }

}  // extern "C"
