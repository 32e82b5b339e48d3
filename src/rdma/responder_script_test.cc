// SPDX-License-Identifier: Apache-2.0
// What the responder does with each packet that a peer may send it: IBA 9.7.4, and the malformed
// ones. Items: the project's list of malformed inputs, 83 to 94.
#include "rdma/test_script.h"

namespace tideline::rdma {
namespace {

SCRIPT(Responder, RcvSendOnly_Rts_CompletesAndIsAcknowledged, R"(
  given RC
  recv 1 (64)
  < SEND_ONLY psn 100 ack (64)
  > ACK psn 100 msn 1 syndrome 0x00
  complete recv 1 SUCCESS (64)
)")

SCRIPT(Responder, RcvSendInThreePackets_Rts_IsOneMessage, R"(
  given RC mtu 256
  recv 1 (700)
  < SEND_FIRST psn 100 (256)
  > nothing
  < SEND_MIDDLE psn 101 (256)
  < SEND_LAST psn 102 ack (100)
  > ACK psn 102 msn 1
  complete recv 1 SUCCESS (612)
)")

SCRIPT(Responder, RcvBurst_Rts_IsAcknowledgedOnce, R"(
  given RC
  < WRITE_ONLY psn 100 ack (8)
  < WRITE_ONLY psn 101 ack (8)
  < WRITE_ONLY psn 102 ack (8)
  > ACK psn 102 msn 3
  > nothing
)")

// 9.7.7.2: credits are what is posted when the ACK leaves, rounded down to what five bits can say.
SCRIPT(Responder, RcvSend_Rts_TheAckSaysForHowManyThereIsRoom, R"(
  given RC mtu 256
  recv 1 (600)
  recv 2 (64)
  recv 3 (64)
  recv 4 (64)
  recv 5 (64)
  recv 6 (64)
  # The one that the message has taken is still for it.
  < SEND_FIRST psn 100 ack (256)
  > ACK psn 100 msn 0 syndrome 0x05
  < SEND_LAST psn 101 ack (8)
  > ACK psn 101 msn 1 syndrome 0x04
  < READ_REQUEST psn 102 len 8
  > READ_RESPONSE_ONLY psn 102 msn 2 syndrome 0x04
  < FETCH_ADD psn 103 va 0
  > ATOMIC_ACK psn 103 msn 3 syndrome 0x04
)")

SCRIPT(Responder, PostRecv_AfterAnAckWithoutCredits_TellsOnce, R"(
  given RC
  recv 1 (64)
  < SEND_ONLY psn 100 ack (64)
  > ACK psn 100 msn 1 syndrome 0x00
  recv 2 (64)
  > ACK psn 100 msn 1 syndrome 0x01
  recv 3 (64)
  > nothing
)")

SCRIPT(Responder, PostRecv_BeforeAnyAck_TellsNothing, R"(
  given RC
  recv 1 (64)
  > nothing
)")

// What others may take is nobody's credit.
SCRIPT(Responder, RcvSend_WithASharedQueue_TheAckSaysNothingOfCredits, R"(
  given RC srq 1
  recv 1 (64)
  recv 2 (64)
  < SEND_ONLY psn 100 ack (64)
  > ACK psn 100 msn 1 syndrome 0x1f
  recv 3 (64)
  > nothing
)")

// Item 86.
SCRIPT(Responder, RcvAhead_Rts_OneSequenceNak, R"(
  given RC
  recv 1 (64)
  < SEND_ONLY psn 102 ack (64)
  > ACK psn 100 syndrome 0x60
  < SEND_ONLY psn 103 ack (64)
  > nothing
  count nak_sequence 1
  count drop_ahead 1
  complete nothing
  < SEND_ONLY psn 100 ack (64)
  > ACK psn 100 msn 1 syndrome 0x00
  < WRITE_ONLY psn 102 ack (8)
  > ACK psn 101 syndrome 0x60
)")

SCRIPT(Responder, RcvReordered_InOneBurst_TheNakIsTakenBack, R"(
  given RC
  < WRITE_ONLY psn 100 (8)
  < WRITE_ONLY psn 101 ack (8)
  > ACK psn 101 syndrome 0x00
)")

SCRIPT(Responder, RcvDuplicateSend_Rts_IsAcknowledgedNotExecuted, R"(
  given RC
  recv 1 (64)
  recv 2 (64)
  < SEND_ONLY psn 100 ack (64)
  > ACK psn 100 msn 1
  < SEND_ONLY psn 100 ack (64)
  > ACK psn 100 msn 1
  complete recv 1 SUCCESS (64)
  complete nothing
  count rx_duplicate 1
)")

SCRIPT(Responder, RcvRead_Rts_ResponsesInMtus, R"(
  given RC mtu 256
  < READ_REQUEST psn 100 va 0 len 600
  > READ_RESPONSE_ONLY psn 100 msn 1 (600)
  < READ_REQUEST psn 103 len 10
  > READ_RESPONSE_ONLY psn 103 msn 2 (10)
)")

SCRIPT(Responder, RcvDuplicateRead_Rts_IsReadAgainFromWhereItIsAsked, R"(
  given RC mtu 256
  < READ_REQUEST psn 100 va 0 len 600
  > READ_RESPONSE_ONLY psn 100 (600)
  < READ_REQUEST psn 101 va 256 len 344
  > READ_RESPONSE_ONLY psn 101 msn 1 (344)
  # Not a part of the request that was.
  < READ_REQUEST psn 101 va 0 len 344
  > nothing
  count drop_duplicate 1
)")

SCRIPT(Responder, RcvDuplicateRead_Forgotten_IsDropped, R"(
  given RC rd_atomic 1
  < READ_REQUEST psn 100 len 8
  > READ_RESPONSE_ONLY psn 100
  < READ_REQUEST psn 101 len 8
  > READ_RESPONSE_ONLY psn 101
  < READ_REQUEST psn 100 len 8
  > nothing
  count drop_duplicate 1
)")

SCRIPT(Responder, RcvDuplicateAtomic_Rts_AnswersWhatItAnswered, R"(
  given RC
  < FETCH_ADD psn 100 va 0
  > ATOMIC_ACK psn 100 msn 1
  memory written
  < FETCH_ADD psn 100 va 0
  > ATOMIC_ACK psn 100 msn 1
  < COMPARE_SWAP psn 101 va 8
  > ATOMIC_ACK psn 101 msn 2
)")

// A READ's responses go before the acknowledgement of what follows: it would say that they were
// lost.
SCRIPT(Responder, RcvReadThenSend_Rts_AnswersInOrder, R"(
  given RC
  recv 1 (8)
  < READ_REQUEST psn 100 len 8
  < SEND_ONLY psn 101 ack (8)
  > READ_RESPONSE_ONLY psn 100
  > ACK psn 101 msn 2
)")

SCRIPT(Responder, RcvMoreReadsThanAgreed_Rts_InvalidRequest, R"(
  given RC rd_atomic 1
  < READ_REQUEST psn 100 len 8
  < READ_REQUEST psn 101 len 8
  > ACK psn 101 syndrome 0x61
  state ERR
  event QP_REQUEST_ERROR
)")

SCRIPT(Responder, RcvSend_WithoutReceiveRequest_RnrNak, R"(
  given RC rnr_timer 12
  < SEND_ONLY psn 100 ack (8)
  > ACK psn 100 syndrome 0x2c
  # Already on its way when the peer hears of it.
  < SEND_ONLY psn 101 ack (8)
  > nothing
  recv 1 (64)
  < SEND_ONLY psn 100 ack (8)
  > ACK psn 100 msn 1 syndrome 0x00
  count nak_rnr 1
)")

SCRIPT(Responder, RcvWriteImm_WithoutReceiveRequest_RnrNakForTheLast, R"(
  given RC mtu 256
  < WRITE_FIRST psn 100 len 300 (256)
  < WRITE_LAST_IMM psn 101 ack imm 5 (44)
  > ACK psn 101 syndrome 0x21
  recv 1 (0)
  < WRITE_LAST_IMM psn 101 ack imm 5 (44)
  > ACK psn 101 msn 1
  complete recv 1 SUCCESS (300)
)")

// Frames of several packets.
SCRIPT(Responder, RcvSuperFrame_Rts_TakesItsPsns, R"(
  given RC mtu 256
  recv 1 (2000)
  < SEND_ONLY psn 100 ack gso (1000)
  > ACK psn 103 msn 1
  complete recv 1 SUCCESS (1000)
)")

SCRIPT(Responder, RcvSuperFrame_HalfKnown_TakesTheRest, R"(
  given RC mtu 256
  recv 1 (2000)
  < SEND_FIRST psn 100 ack gso (512)
  > ACK psn 101
  < SEND_ONLY psn 100 ack gso (1000)
  > ACK psn 103 msn 1
  complete recv 1 SUCCESS (1000)
  count rx_duplicate 2
)")

// Item 85.
SCRIPT(Malformed, Item85_RcvWriteOnly_LongerThanTheMtu_InvalidRequest, R"(
  given RC mtu 256
  < WRITE_ONLY psn 100 (260)
  > ACK psn 100 syndrome 0x61
  state ERR
  memory intact
)")
SCRIPT(Malformed, Item85_RcvPad_LongerThanPayload_InvalidRequest, R"(
  given RC
  < WRITE_ONLY psn 100 pad 3 len 0 (0)
  > ACK psn 100 syndrome 0x61
  state ERR
)")
SCRIPT(Malformed, Item85_RcvWrite_LengthIsNotTheSum_InvalidRequest, R"(
  given RC
  < WRITE_ONLY psn 100 len 100 (64)
  > ACK psn 100 syndrome 0x61
  memory intact
  event QP_REQUEST_ERROR
)")
SCRIPT(Malformed, Item85_RcvWriteLast_BeyondTheLength_InvalidRequest, R"(
  given RC mtu 256
  < WRITE_FIRST psn 100 len 300 (256)
  < WRITE_LAST psn 101 (64)
  > ACK psn 101 syndrome 0x61
  state ERR
)")
SCRIPT(Malformed, Item85_RcvMiddle_ShorterThanTheMtu_InvalidRequest, R"(
  given RC mtu 256
  recv 1 (1000)
  < SEND_FIRST psn 100 (200)
  > ACK psn 100 syndrome 0x61
  complete recv 1 FLUSHED
  state ERR
)")
SCRIPT(Malformed, Item85_RcvLast_WithoutPayload_InvalidRequest, R"(
  given RC mtu 256
  recv 1 (1000)
  < SEND_FIRST psn 100 (256)
  < SEND_LAST psn 101 (0)
  > ACK psn 101 syndrome 0x61
  complete recv 1 REMOTE_INVALID_REQUEST
)")
SCRIPT(Malformed, Item85_RcvReadRequest_WithPayload_InvalidRequest, R"(
  given RC
  < READ_REQUEST psn 100 len 8 (4)
  > ACK psn 100 syndrome 0x61
)")
SCRIPT(Malformed, RcvSend_LongerThanTheReceiveRequest_LengthError, R"(
  given RC
  recv 1 (10)
  recv 2 (10)
  < SEND_ONLY psn 100 (11)
  > ACK psn 100 syndrome 0x61
  complete recv 1 LOCAL_LENGTH
  complete recv 2 FLUSHED
  state ERR
  memory intact
)")

// Item 87.
SCRIPT(Malformed, Item87_RcvWrite_WrongKey_RemoteAccess, R"(
  given RC
  < WRITE_ONLY psn 100 rkey 12345 (64)
  > ACK psn 100 syndrome 0x62
  state ERR
  memory intact
  event QP_ACCESS_ERROR
)")
SCRIPT(Malformed, Item87_RcvWrite_BeyondTheRegion_RemoteAccess, R"(
  given RC
  < WRITE_ONLY psn 100 va 65500 (64)
  > ACK psn 100 syndrome 0x62
  memory intact
)")
SCRIPT(Malformed, Item87_RcvWriteFirst_WhoseEndIsBeyondTheRegion_NothingIsWritten, R"(
  given RC mtu 256
  < WRITE_FIRST psn 100 va 65000 len 600 (256)
  > ACK psn 100 syndrome 0x62
  memory intact
)")
SCRIPT(Malformed, Item87_RcvWrite_WrappingAround_RemoteAccess, R"(
  given RC
  < WRITE_ONLY psn 100 va 18446744073709551000 (64)
  > ACK psn 100 syndrome 0x62
  memory intact
)")
SCRIPT(Malformed, Item87_RcvRead_WrongKey_RemoteAccess, R"(
  given RC
  < READ_REQUEST psn 100 rkey 12345 len 64
  > ACK psn 100 syndrome 0x62
)")
SCRIPT(Malformed, Item87_RcvWrite_IntoARegionThatIsGone_RemoteAccess, R"(
  given RC mtu 256
  < WRITE_FIRST psn 100 len 300 (256)
  deregister
  < WRITE_LAST psn 101 (44)
  > ACK psn 101 syndrome 0x62
)")
// Item 88.
SCRIPT(Malformed, Item88_RcvRead_BeyondTheRegion_RemoteAccess, R"(
  given RC
  < READ_REQUEST psn 100 len 2147483648
  > ACK psn 100 syndrome 0x62
)")
SCRIPT(Malformed, Item88_RcvRead_TooLongForAnything_InvalidRequest, R"(
  given RC
  < READ_REQUEST psn 100 len 2147483649
  > ACK psn 100 syndrome 0x61
)")
SCRIPT(Malformed, Item88_RcvRead_OfNothing_NeedsNoKey, R"(
  given RC
  < READ_REQUEST psn 100 rkey 1 len 0
  > READ_RESPONSE_ONLY psn 100 (0)
  state RTS
)")
SCRIPT(Malformed, Item88_RcvWrite_OfNothing_NeedsNoKey, R"(
  given RC
  < WRITE_ONLY psn 100 rkey 1 ack (0)
  > ACK psn 100 syndrome 0x00
  state RTS
)")

// Item 90.
SCRIPT(Malformed, Item90_RcvFirst_AfterFirst_InvalidRequest, R"(
  given RC mtu 256
  recv 1 (1000)
  < SEND_FIRST psn 100 (256)
  < SEND_FIRST psn 101 (256)
  > ACK psn 101 syndrome 0x61
  state ERR
)")
SCRIPT(Malformed, Item90_RcvMiddle_WithoutFirst_InvalidRequest, R"(
  given RC mtu 256
  < SEND_MIDDLE psn 100 (256)
  > ACK psn 100 syndrome 0x61
)")
SCRIPT(Malformed, Item90_RcvWriteMiddle_InASend_InvalidRequest, R"(
  given RC mtu 256
  recv 1 (1000)
  < SEND_FIRST psn 100 (256)
  < WRITE_MIDDLE psn 101 (256)
  > ACK psn 101 syndrome 0x61
  complete recv 1 REMOTE_INVALID_REQUEST
)")
SCRIPT(Malformed, Item90_RcvRead_InASend_InvalidRequest, R"(
  given RC mtu 256
  recv 1 (1000)
  < SEND_FIRST psn 100 (256)
  < READ_REQUEST psn 101 len 8
  > ACK psn 101 syndrome 0x61
)")

// Item 93.
SCRIPT(Malformed, Item93_RcvAtomic_Unaligned_InvalidRequest, R"(
  given RC
  < FETCH_ADD psn 100 va 4
  > ACK psn 100 syndrome 0x61
  memory intact
)")

SCRIPT(Malformed, RcvWrite_NotAllowedByTheQueuePair_InvalidRequest, R"(
  given RC access 4
  < WRITE_ONLY psn 100 (64)
  > ACK psn 100 syndrome 0x61
  memory intact
)")
SCRIPT(Malformed, RcvSendInvalidate_OfAnUnknownKey_RemoteAccess, R"(
  given RC
  recv 1 (64)
  < SEND_ONLY_INV psn 100 inv 77 (8)
  > ACK psn 100 syndrome 0x62
  complete recv 1 REMOTE_INVALID_REQUEST
  state ERR
)")
SCRIPT(Malformed, Item84_RcvPacket_ForAnUnknownQueuePair_IsDropped, R"(
  given RC
  < SEND_ONLY psn 100 qp 17 ack (8)
  > nothing
  count drop_qp_unknown 1
)")
SCRIPT(Malformed, RcvRequest_InError_IsDropped, R"(
  given RC
  < SEND_MIDDLE psn 100 (1024)
  > ACK psn 100 syndrome 0x61
  < SEND_ONLY psn 100 ack (8)
  > nothing
  count drop_qp_state 1
)")

// UC: nothing is answered, a gap costs its message.
SCRIPT(UcResponder, RcvWrite_Rts_IsExecutedWithoutAnswer, R"(
  given UC
  < WRITE_ONLY psn 100 (8)
  > nothing
  memory written
)")
SCRIPT(UcResponder, RcvGap_Rts_LosesTheMessageAndKeepsItsReceiveRequest, R"(
  given UC mtu 256
  recv 1 (1000)
  < SEND_FIRST psn 100 (256)
  < SEND_LAST psn 102 (10)
  complete nothing
  < SEND_ONLY psn 103 (20)
  complete recv 1 SUCCESS (20)
  count drop_message 1
)")
SCRIPT(UcResponder, RcvSend_WithoutReceiveRequest_IsLost, R"(
  given UC
  < SEND_ONLY psn 100 (20)
  > nothing
  recv 1 (64)
  < SEND_ONLY psn 101 (20)
  complete recv 1 SUCCESS (20)
)")
SCRIPT(UcResponder, RcvWrite_WrongKey_IsLost, R"(
  given UC
  < WRITE_ONLY psn 100 rkey 5 (20)
  > nothing
  memory intact
  state RTS
)")

}  // namespace
}  // namespace tideline::rdma
