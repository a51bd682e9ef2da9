"""Operations cancelled at random steps, in every way in which asyncio can end one."""
