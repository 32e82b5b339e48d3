// SPDX-License-Identifier: Apache-2.0
#include "shim/verbs/events.h"

#include <cerrno>
#include <memory>
#include <utility>

#include "shim/verbs/engine.h"

namespace tideline::shim::verbs {
namespace {

// What the union holds depends on the type.
ibv_async_event to_ibv(const DeviceEvent& event) {
  ibv_async_event told{};
  told.event_type = static_cast<ibv_event_type>(event.type);
  switch (event.type) {
    case rdma::EventType::kCqError:
      told.element.cq = static_cast<Cq*>(event.user)->base_cq();
      break;
    case rdma::EventType::kSrqError:
    case rdma::EventType::kSrqLimitReached:
      told.element.srq = &static_cast<Srq*>(event.user)->base;
      break;
    case rdma::EventType::kQpFatal:
    case rdma::EventType::kQpRequestError:
    case rdma::EventType::kQpAccessError:
    case rdma::EventType::kCommunicationEstablished:
    case rdma::EventType::kSendQueueDrained:
    case rdma::EventType::kLastWqeReached:
      told.element.qp = &static_cast<Qp*>(event.user)->base.qp_base;
      break;
    case rdma::EventType::kDeviceFatal:
    case rdma::EventType::kPortActive:
    case rdma::EventType::kPortError:
    case rdma::EventType::kGidChange:
      told.element.port_num = 1;
      break;
  }
  return told;
}

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
  context_of(context).device->forget_events(object);
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
  if (cq.base.channel != nullptr) of(cq.base.channel).events->forget(&cq);
  forget_async(cq.base.context, &cq);
  wait_acknowledged(cq.base, [&] {
    return cq.base.comp_events_completed == cq.completion_events &&
           cq.base.async_events_completed == cq.async_events;
  });
}

void forget_events(Srq& srq) {
  forget_async(srq.base.context, &srq);
  wait_acknowledged(srq.base, [&] { return srq.base.events_completed == srq.async_events; });
}

void forget_events(Qp& qp) {
  ibv_qp& base = qp.base.qp_base;
  forget_async(base.context, &qp);
  wait_acknowledged(base, [&] { return base.events_completed == qp.async_events; });
}

}  // namespace tideline::shim::verbs

using namespace tideline::shim::verbs;  // NOLINT(google-build-using-namespace): the C face of it

extern "C" {

ibv_comp_channel* ibv_create_comp_channel(ibv_context* context) {
  auto channel = std::make_unique<Channel>();
  auto events = context_of(context).device->create_channel();
  if (!events) {
    errno = events.error().errno_value != 0 ? events.error().errno_value : ENOMEM;
    return nullptr;
  }
  channel->events = std::move(*events);
  channel->base = {.context = context, .fd = channel->events->fd(), .refcnt = 0};
  return &channel.release()->base;
}

int ibv_destroy_comp_channel(ibv_comp_channel* channel) {
  if (channel->refcnt != 0) return EBUSY;
  delete &of(channel);
  return 0;
}

int ibv_get_cq_event(ibv_comp_channel* channel, ibv_cq** cq, void** user) {
  the_engine().about_to_sleep();
  auto* found = static_cast<Cq*>(of(channel).events->pop());
  if (found == nullptr) return -1;
  *cq = found->base_cq();
  add(**cq, of(*cq).completion_events, 1);
  *user = (*cq)->cq_context;
  return 0;
}

void ibv_ack_cq_events(ibv_cq* cq, unsigned count) { add(*cq, cq->comp_events_completed, count); }

int ibv_get_async_event(ibv_context* context, ibv_async_event* event) {
  the_engine().about_to_sleep();
  DeviceEvent told;
  if (!context_of(context).device->pop_event(told)) return -1;
  *event = to_ibv(told);
  count(*event, Side::kGiven);
  return 0;
}

void ibv_ack_async_event(ibv_async_event* event) { count(*event, Side::kAcknowledged); }

}  // extern "C"
