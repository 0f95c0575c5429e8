"""The programmes as FHIR definitions: what the resources of their members name, and what their files state.

Pure: the same programmes give the same bytes, so a further programme is a further file here too.
"""

from collections.abc import Collection

from fhirgw.mappers.definitional.activity import activities
from fhirgw.mappers.definitional.codes import code_systems
from fhirgw.mappers.definitional.instruments import instruments, screenings
from fhirgw.mappers.definitional.protocol import protocol
from fhirgw.mappers.definitional.service import service
from fhirgw.mappers.icm.shape import Json
from fhirgw.programs import Program

__all__ = ["definitions"]


def definitions(programs: Collection[Program]) -> list[Json]:
    """Every definition that the programmes give rise to, those that others refer to first."""
    return [
        *code_systems(programs),
        *instruments(),
        *(
            one
            for program in sorted(programs, key=lambda program: program.id)
            for one in (service(program), *screenings(program), *activities(program), protocol(program))
        ),
    ]
