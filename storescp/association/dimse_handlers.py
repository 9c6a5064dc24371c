"""Handlers of DIMSE messages: C-STORE, N-ACTION, and what pynetdicom drops."""

from pydicom import Dataset
from pynetdicom import Association, evt
from pynetdicom.dimse_messages import C_STORE_RQ, N_EVENT_REPORT_RSP
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import StorageCommitmentPushModelInstance

from common.dicomnet import status
from common.dicomnet.commitment import REQUEST_COMMITMENT
from common.logging import get_logger
from storescp.association.command import Command
from storescp.commitment.reporter import CommitmentReporter
from storescp.commitment.request import read_request
from storescp.store.instance_writer import StoreRequest
from storescp.store.store_operation import StorageService, StoreOperation, assoc_id

REQUIRED = ("AffectedSOPClassUID", "AffectedSOPInstanceUID")

log = get_logger(__name__)


class DimseHandlers:
    """Shared by all associations of a server."""

    def __init__(self, service: StorageService, reporter: CommitmentReporter) -> None:
        self._service = service
        self._reporter = reporter

    def begin_store(
        self, assoc: Association, command: Command, context: PresentationContext
    ) -> StoreOperation:
        """Begin a C-STORE whose data set ``StreamingDUL`` will write."""
        return StoreOperation(
            self._service,
            assoc,
            StoreRequest(
                sop_class_uid=command.sop_class_uid,
                sop_instance_uid=command.sop_instance_uid,
                abstract_syntax=str(context.abstract_syntax),
                transfer_syntax_uid=str(context.transfer_syntax[0]),
                calling_ae_title=assoc.requestor.ae_title.strip(),
                source_address=assoc.requestor.address or "",
            ),
        )

    def handle_c_store(self, event: evt.Event) -> int | Dataset:
        """Handle ``EVT_C_STORE``: without ``StreamingDUL``, with the whole data set."""
        request, context = event.request, event.context
        operation = StoreOperation(
            self._service,
            event.assoc,
            StoreRequest(
                sop_class_uid=str(request.AffectedSOPClassUID),
                sop_instance_uid=str(request.AffectedSOPInstanceUID),
                abstract_syntax=str(context.abstract_syntax),
                transfer_syntax_uid=str(context.transfer_syntax),
                calling_ae_title=event.assoc.requestor.ae_title.strip(),
                source_address=event.assoc.requestor.address or "",
            ),
        )
        operation.write(event.encoded_dataset(include_meta=False))
        refusal = operation.finish()
        return status.SUCCESS if refusal is None else refusal.to_data_set()

    def handle_message(self, event: evt.Event) -> None:
        """Handle ``EVT_DIMSE_RECV`` for messages that pynetdicom drops silently.

        These are the response to an N-EVENT-REPORT on the association of the request and,
        without ``StreamingDUL``, a C-STORE-RQ without a UID.
        """
        message = event.message
        if isinstance(message, N_EVENT_REPORT_RSP):
            response = message.command_set
            self._reporter.responded(
                event.assoc, response.MessageIDBeingRespondedTo, response.Status
            )
        if not isinstance(message, C_STORE_RQ) or "MessageID" not in message.command_set:
            return
        missing = [one for one in REQUIRED if not message.command_set.get(one)]
        if not missing:
            return
        refused = C_STORE()
        refused.MessageIDBeingRespondedTo = message.command_set.MessageID
        refused.Status = status.INVALID_UID
        refused.ErrorComment = f"{missing[0]} is missing"
        event.assoc.dimse.send_msg(refused, message.context_id)

    def handle_n_action(self, event: evt.Event) -> tuple[int, None]:
        """Handle ``EVT_N_ACTION``: queue a request for Storage Commitment."""
        if event.request.RequestedSOPInstanceUID != StorageCommitmentPushModelInstance:
            return status.NO_SUCH_SOP_INSTANCE, None
        if event.action_type != REQUEST_COMMITMENT:
            return status.NO_SUCH_ACTION, None
        try:
            request = read_request(event.action_information)
        except Exception as error:
            # pydicom raises errors of any class on bytes that are no data set. Their text may
            # repeat the bytes.
            log.warning(
                "commitment_refused",
                assoc_id=assoc_id(event.assoc),
                error=type(error).__name__,
            )
            return status.INVALID_ARGUMENT_VALUE, None
        calling_ae_title = event.assoc.requestor.ae_title.strip()
        if not self._reporter.add(event.assoc, calling_ae_title, request):
            return status.RESOURCE_LIMITATION, None
        return status.SUCCESS, None
